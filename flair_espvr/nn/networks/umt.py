"""The UMT network: cross-modal attention both ways, and a span CRF against the bias of the image (Yu et al., 2020)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flair_espvr.nn.config import PositiveInt, Share, require_heads
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.fusion import GatedFusion
from flair_espvr.nn.layers.self_attention import SelfAttentionStack
from flair_espvr.nn.network import SPAN_LABELS, known_size
from flair_espvr.nn.span_network import SpanConfig, SpanNetwork, SpanOutput


class UMTConfig(SpanConfig):
    """Hyperparameters of UMT; the defaults are the published ones for a base-size encoder."""

    hidden_size: PositiveInt | None = None
    """D; None for the size of the word vectors, as published."""

    num_heads: PositiveInt = 12
    """Heads of every attention layer."""

    dropout: Share = 0.1
    """On the word vectors and in every layer."""

    span_mixing: Share = 0.5
    """Share of the span emissions in those of the tag CRF."""


class UMTNetwork(SpanNetwork):
    """Two self-attention layers over the words, coupled cross-modal paths with a gate, and two CRFs.

    Arguments are those of `Network`.
    """

    config: UMTConfig
    conversion: Tensor

    def __init__(self, config: UMTConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        region_size = known_size(region_size)
        self.config = config
        size = config.hidden_size or word_size
        require_heads(size, config.num_heads)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.text_encoder, self.span_encoder = (
            SelfAttentionStack(word_size, size, num_heads=config.num_heads, num_layers=1, dropout=config.dropout)
            for _ in range(2)
        )
        self.region_projection = torch.nn.Linear(region_size, size)
        self.asking_region_projection = torch.nn.Linear(region_size, size)
        self.fusion = GatedFusion(size, config.num_heads, config.dropout, gate_bias=True)
        self.tag_emissions = torch.nn.Linear(2 * size, len(labels))
        self.span_emissions = torch.nn.Linear(size, len(SPAN_LABELS))
        self.tag_crf = LinearChainCRF(labels)
        self.span_crf = LinearChainCRF(SPAN_LABELS)
        self.register_buffer("conversion", conversion_matrix(labels), persistent=False)

    def forward(self, words: Tensor, mask: Tensor, images: ImageFeatures | None, **_: Any) -> SpanOutput:
        """Score every word's tags: E = (1 - m) E_main + m E_spans M, with m the config's `span_mixing`.

        Args:
            words: (B, T, D_enc) encoder states of the words.
            mask: (B, T) bool, True on words.
            images: The batch's images; None where no post has one. A post without one is tagged by its text.
        """
        words = self.dropout(words)
        text = self.text_encoder(words, mask)  # T (B, T, D)
        span_emissions = self.span_emissions(self.span_encoder(words, mask))  # (B, T, 3)
        if images is None:
            nothing = text.new_zeros(text.shape[0], 0, text.shape[2])
            fused = self.fusion(text, mask, nothing, mask[:, :0])
        else:
            regions, asking = self.region_projection(images.regions), self.asking_region_projection(images.regions)
            fused = self.fusion(text, mask, regions, images.mask, asking_regions=asking)  # (B, T, 2D)
        mixing = self.config.span_mixing
        emissions = (1 - mixing) * self.tag_emissions(fused) + mixing * (span_emissions @ self.conversion)
        return SpanOutput(emissions, mask, span_emissions)


def conversion_matrix(labels: Sequence[str]) -> Tensor:
    """M, (3, L): how span labels speak for typed ones. O for O; B and I for each of the K types alike, 1/K each."""
    matrix = torch.tensor([[float(label[0] == span) for label in labels] for span in SPAN_LABELS])
    return matrix / matrix.sum(dim=1, keepdim=True)
