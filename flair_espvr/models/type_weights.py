"""Training posts that count more for the types of entity in them: rare types, or those that matter most."""

from collections.abc import Mapping, Sequence

import torch
from flair.data import Sentence
from torch import Tensor

from flair_espvr.data.sentences import sentence_entities


def weighted_by_type(
    losses: Mapping[str, Tensor], sentences: Sequence[Sentence], label_type: str, weights: Mapping[str, float]
) -> Mapping[str, Tensor]:
    """Losses in which each post counts as much as its weightiest type; a post without entities counts 1.

    A CRF scores a whole sequence at once, so it is posts that are weighed, not words.

    Args:
        losses: terms by name, (B,) for each post or () for terms that compare posts, which stay what they are.
        sentences: B of them.
        label_type: the layer of their gold labels.
        weights: by type; 1 for all others.
    """
    if not weights:
        return losses
    types = [{entity.type for entity in sentence_entities(sentence, label_type)} for sentence in sentences]
    factors = [max((weights.get(type_, 1.0) for type_ in found), default=1.0) for found in types]
    return {name: term * torch.tensor(factors).to(term) if term.dim() else term for name, term in losses.items()}
