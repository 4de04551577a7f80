"""An interpretation of UAMNer after its abstract: where the text is unsure, the picture is asked (Liu et al., 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flair_espvr.nn.config import ModelConfig, PositiveInt, Share, Weight, require_heads
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.cross_modal import CrossModalLayer
from flair_espvr.nn.layers.monte_carlo import MonteCarloClassifier, entropy
from flair_espvr.nn.layers.self_attention import SelfAttentionStack
from flair_espvr.nn.network import Network, NetworkOutput, known_size


class UAMNerConfig(ModelConfig):
    """Hyperparameters of an interpretation of UAMNer; those of the publication are not known, so all are ours."""

    hidden_size: PositiveInt | None = None
    """D; None for the size of the word vectors."""

    num_heads: PositiveInt = 12
    """Heads of every attention layer."""

    num_layers: PositiveInt = 2
    """Self-attention layers over the words, before they are refined."""

    dropout: Share = 0.1
    """On the word vectors and in every layer."""

    draft_dropout: Share = 0.3
    """On the units of the Bayesian network that drafts the tags."""

    samples: PositiveInt = 8
    """Networks that a draft is the mean of."""

    threshold: Weight = 0.3
    """Entropy of a word's draft, in nats, above which its tags are refined."""

    draft_loss_weight: Weight = 1.0
    """What the draft's loss counts beside that of the refined tags."""


@dataclass(frozen=True)
class UAMNerOutput(NetworkOutput):
    """What one forward pass gives.

    Attributes:
        draft: (B, T, L) logarithms of the drafted tags' probabilities.
        unsure: (B, T) bool, True on words whose draft is refined.
    """

    draft: Tensor
    unsure: Tensor


class UAMNerNetwork(Network[UAMNerOutput]):
    """A Bayesian draft from the words alone, refined by words, picture and draft where it is unsure.

    An interpretation after UAMNer's abstract, which says no more than that. Arguments are those of `Network`.
    """

    def __init__(self, config: UAMNerConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        self.config = config
        size = config.hidden_size or word_size
        require_heads(size, config.num_heads)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.draft = MonteCarloClassifier(
            word_size, hidden_size=size, classes=len(labels), dropout=config.draft_dropout, samples=config.samples
        )
        self.text_encoder = SelfAttentionStack(
            word_size, size, num_heads=config.num_heads, num_layers=config.num_layers, dropout=config.dropout
        )
        self.label_embedding = torch.nn.Linear(len(labels), size, bias=False)
        self.region_projection = torch.nn.Linear(known_size(region_size), size)
        self.words_to_labels = CrossModalLayer(size, config.num_heads, config.dropout)
        self.words_to_regions = CrossModalLayer(size, config.num_heads, config.dropout)
        self.tag_emissions = torch.nn.Linear(2 * size, len(labels))
        self.tag_crf = LinearChainCRF(labels)

    @property
    def loss_weights(self) -> dict[str, float]:
        """What the draft's loss counts."""
        return {"draft": self.config.draft_loss_weight}

    def forward(self, words: Tensor, mask: Tensor, images: ImageFeatures | None, **_: Any) -> UAMNerOutput:
        """Score every word's tags: the draft's where it is sure, else refined ones; in training refined ones alone.

        Args:
            words: (B, T, D_enc) encoder states of the words.
            mask: (B, T) bool, True on words.
            images: The batch's images; None where no post has one. Without one the draft and the words refine.
        """
        words = self.dropout(words)
        draft = self.draft(words)  # (B, T, L)
        unsure = entropy(draft) > self.config.threshold
        text = self.text_encoder(words, mask)  # (B, T, D)
        candidates = self.words_to_labels(text, self.label_embedding(draft.exp().detach()), mask)
        if images is None:
            seen = self.words_to_regions(text, text[:, :0], mask[:, :0])
        else:
            seen = self.words_to_regions(text, self.region_projection(images.regions), images.mask)
        emissions = self.tag_emissions(self.dropout(torch.cat([candidates, seen], dim=-1)))
        if not self.training:
            emissions = torch.where(unsure.unsqueeze(-1), emissions, draft)
        return UAMNerOutput(emissions, mask, draft, unsure)

    def losses(self, output: UAMNerOutput, tags: Tensor) -> dict[str, Tensor]:
        """`"tags"`, the tag CRF's negative log-likelihood, and `"draft"`, the draft's, summed over words; (B,) each."""
        surprise = -output.draft.gather(-1, tags.unsqueeze(-1)).squeeze(-1)  # (B, T)
        draft = surprise.masked_fill(~output.mask, 0.0).sum(dim=-1)
        return {**super().losses(output, tags), "draft": draft}
