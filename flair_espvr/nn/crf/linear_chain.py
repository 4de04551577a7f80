"""Inference in a linear-chain CRF: likelihood, best path, posterior, batched; only words (T) are walked one by one.

All functions take the chain as logarithms: `emissions` (B, T, L), `transitions` (L, L) from row to column, `start` (L,)
and `end` (L,). Minus infinity marks what is impossible, as long as every label has a possible successor. `mask` (B, T)
bool marks the words; present words come first and each sentence has at least one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def log_likelihood(
    emissions: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """Return log P(tags) of each sentence, (B,).

    `tags` (B, T) long must be possible, also with what stands where masked.
    """
    words = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)  # (B, T)
    steps = transitions[tags[:, :-1], tags[:, 1:]]  # (B, T - 1)
    last = tags.gather(1, mask.sum(dim=1, keepdim=True) - 1).squeeze(1)
    score = start[tags[:, 0]] + end[last]
    score = score + torch.where(mask, words, 0.0).sum(dim=1) + torch.where(mask[:, 1:], steps, 0.0).sum(dim=1)

    first, *others = emissions.unbind(1)
    totals = [start + first]  # (B, L) of each word, over all paths that end in a label there
    for word in others:
        totals.append((totals[-1].unsqueeze(2) + transitions).logsumexp(dim=1) + word)
    return score - (_at_last_word(totals, mask) + end).logsumexp(dim=1)


def best_path(emissions: Tensor, mask: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Viterbi: the labels with the highest score, (B, T) long; the last word's label is repeated where masked."""
    unchanged = torch.arange(emissions.shape[2], device=emissions.device)
    first, *others = emissions.unbind(1)
    scores = [start + first]  # (B, L) of each word, of the best path that ends in a label there
    pointers = [unchanged.expand_as(first)]
    for word in others:
        best, previous = (scores[-1].unsqueeze(2) + transitions).max(dim=1)  # each label's best predecessor
        scores.append(best + word)
        pointers.append(previous)

    label = (_at_last_word(scores, mask) + end).argmax(dim=1, keepdim=True)  # (B, 1)
    path = [label]
    for pointer in torch.where(mask.unsqueeze(2), torch.stack(pointers, dim=1), unchanged).unbind(1)[:0:-1]:
        label = pointer.gather(1, label)
        path.append(label)
    return torch.cat(path[::-1], dim=1)


def _at_last_word(scores: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Of the scores (B, L) of each of T words those of each sentence's last word, (B, L)."""
    last = mask.sum(dim=1).view(-1, 1, 1) - 1
    return torch.take_along_dim(torch.stack(list(scores), dim=1), last, dim=1).squeeze(1)


@dataclass(frozen=True)
class PosteriorChain:
    """The posterior over labelings, which is a Markov chain again.

    Attributes:
        marginals: P(label of word t), (B, T, L).
        steps: log P(label of word t | label of word t-1), (B, T, L, L); step 0 means nothing.
    """

    marginals: Tensor
    steps: Tensor


def posterior_chain(emissions: Tensor, mask: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> PosteriorChain:
    """Forward-backward in conditional form; values where masked mean nothing.

    Scores grow with the sentence, and probabilities as differences of large scores lose their digits. Here no large
    score arises: the backward scores are normalised at each word, each step by itself, and the forward pass multiplies
    probabilities. Single precision is then enough for any length.
    """
    # Labels run (to, from) here: torch reduces the last of several short dimensions slowly.
    arriving = transitions.T
    backward = end.expand(emissions.shape[0], -1)
    onward = [backward]  # at the last word, the one before, ..., the first: what follows it, for each of its labels
    for word, present in zip(emissions.unbind(1)[:0:-1], mask.unsqueeze(2).unbind(1)[:0:-1], strict=True):
        total = (arriving + (word + backward).unsqueeze(2)).logsumexp(dim=1)  # (B, L)
        backward = torch.where(present, total.log_softmax(dim=1), backward)
        onward.append(backward)
    scores = emissions + torch.stack(onward[::-1], dim=1)  # (B, T, L)
    steps = (arriving + scores.unsqueeze(3)).log_softmax(dim=2)  # (B, T, to, from)

    marginal = (start + scores[:, 0]).softmax(dim=1).unsqueeze(2)  # (B, L, 1)
    marginals = [marginal]
    for probability in steps.exp().unbind(1)[1:]:
        marginal = probability @ marginal
        marginals.append(marginal)
    return PosteriorChain(torch.stack(marginals, dim=1).squeeze(3), steps.transpose(2, 3))
