"""Inference in a linear-chain CRF: best path and posterior, batched; only words (T) are walked one by one.

All functions take the chain as logarithms: `emissions` (B, T, L), `transitions` (L, L) from row to column, `start` (L,)
and `end` (L,). Minus infinity marks what is impossible, as long as every label has a possible successor. `mask` (B, T)
bool marks the words; present words come first and each sentence has at least one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def best_path(emissions: Tensor, mask: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Viterbi: the labels with the highest score, (B, T) long; the last word's label is repeated where masked."""
    unchanged = torch.arange(emissions.shape[2], device=emissions.device)
    score = start + emissions[:, 0]  # (B, L)
    pointers = []
    for step in range(1, emissions.shape[1]):
        best, previous = (score.unsqueeze(2) + transitions).max(dim=1)  # (B, L), each next label's best predecessor
        present = mask[:, step].unsqueeze(1)
        score = torch.where(present, best + emissions[:, step], score)
        pointers.append(torch.where(present, previous, unchanged))

    label = (score + end).argmax(dim=1, keepdim=True)  # (B, 1)
    path = [label]
    for pointer in reversed(pointers):
        label = pointer.gather(1, label)
        path.append(label)
    return torch.cat(path[::-1], dim=1)


@dataclass(frozen=True)
class PosteriorChain:
    """The posterior over labelings, which is a Markov chain again.

    Attributes:
        marginals: P(label of word t), (B, T, L).
        steps: log P(label of word t | label of word t-1), (B, T, L, L); step 0 is not defined and holds zeros.
    """

    marginals: Tensor
    steps: Tensor


def posterior_chain(emissions: Tensor, mask: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> PosteriorChain:
    """Forward-backward in conditional form; values where masked mean nothing.

    Scores grow with the sentence, and probabilities as differences of large scores lose their digits. Here no large
    score arises: the backward scores are kept relative to their maximum, each step is normalised by itself, and the
    forward pass multiplies probabilities. Single precision is then enough for any length.
    """
    batch, length, labels = emissions.shape
    backward = end.expand(batch, labels)
    steps = [emissions.new_zeros(batch, labels, labels)]
    for step in range(length - 1, 0, -1):
        scores = transitions + (emissions[:, step] + backward).unsqueeze(1)  # (B, L, L)
        steps.append(scores.log_softmax(dim=2))
        total = scores.logsumexp(dim=2)
        total = total - total.amax(dim=1, keepdim=True)
        backward = torch.where(mask[:, step].unsqueeze(1), total, backward)
    # The list runs [undefined step 0, step T-1, ..., step 1].
    ordered = [steps[0], *steps[:0:-1]]

    marginal = (start + emissions[:, 0] + backward).softmax(dim=1)  # (B, L)
    marginals = [marginal]
    for log_probability in ordered[1:]:
        marginal = (marginal.unsqueeze(2) * log_probability.exp()).sum(dim=1)
        marginals.append(marginal)
    return PosteriorChain(torch.stack(marginals, dim=1), torch.stack(ordered, dim=1))
