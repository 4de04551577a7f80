"""The MGCMT network: the image as regions and as names of objects, each on two paths (Liu et al., 2024)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flair_espvr.nn.config import ObjectLabelConfig, PositiveInt, Share, require_heads
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures, ObjectFeatures
from flair_espvr.nn.layers.fusion import CrossModalPaths
from flair_espvr.nn.layers.gate import Gate, mix
from flair_espvr.nn.layers.self_attention import SelfAttentionStack
from flair_espvr.nn.network import SPAN_LABELS, known_size
from flair_espvr.nn.span_network import SpanConfig, SpanNetwork, SpanOutput


class MGCMTConfig(ObjectLabelConfig, SpanConfig):
    """Hyperparameters of MGCMT; the defaults are those of the published code for a base-size encoder."""

    hidden_size: PositiveInt | None = None
    """D; None for the size of the word vectors, as published."""

    num_heads: PositiveInt = 12
    """Heads of every attention layer."""

    dropout: Share = 0.1
    """On the word vectors and in every layer."""

    fusion_dropout: Share = 0.5
    """On both granularities before they are joined."""


class Granularity(torch.nn.Module):
    """What words see of an image at one granularity: vectors that attend to each other, both paths, a convex gate.

    With Q = CMT(T, v1) and A = CMT(T, CMT(v2, T)), v1 and v2 from layers of their own, the result is f Q + (1 - f) A,
    f = sigmoid(W Q + U A + b).

    Args:
        input_size: Size of the vectors.
        hidden_size: Size D of words and result.
        num_heads: Attention heads; must divide `hidden_size`.
        dropout: Probability of dropout in the layers.
    """

    def __init__(self, input_size: int, hidden_size: int, *, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.asked, self.asking = (
            SelfAttentionStack(input_size, hidden_size, num_heads=num_heads, num_layers=1, dropout=dropout)
            for _ in range(2)
        )
        self.paths = CrossModalPaths(hidden_size, num_heads, dropout)
        self.gate = Gate(hidden_size, hidden_size, size=hidden_size)

    def forward(self, text: Tensor, text_mask: Tensor, vectors: Tensor | None, mask: Tensor | None) -> Tensor:
        """Return what the words (B, T, D) see of vectors (B, K, input_size) that exist, mask (B, K).

        None where nothing is.
        """
        if vectors is None or mask is None:
            asked = asking = text[:, :0]
            mask = text_mask[:, :0]
        else:
            asked, asking = self.asked(vectors, mask), self.asking(vectors, mask)
        coupled, direct = self.paths.attend(text, text_mask, asked, mask, asking)
        return mix(self.gate(direct, coupled), direct, coupled)


class MGCMTNetwork(SpanNetwork):
    """Words with two granularities of their image, regions and objects, and a span CRF beside.

    Arguments are those of `Network`.
    """

    def __init__(self, config: MGCMTConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        self.config = config
        size = config.hidden_size or word_size
        require_heads(size, config.num_heads)
        layers: dict[str, Any] = {"num_heads": config.num_heads, "dropout": config.dropout}
        self.dropout = torch.nn.Dropout(config.dropout)
        self.text_encoder, self.span_encoder = (
            SelfAttentionStack(word_size, size, num_layers=1, **layers) for _ in range(2)
        )
        self.object_labels = torch.nn.Embedding(len(config.object_labels) + 1, size)
        self.regions = Granularity(known_size(region_size), size, **layers)
        self.objects = Granularity(size, size, **layers)
        self.joined = torch.nn.Sequential(
            torch.nn.Dropout(config.fusion_dropout), torch.nn.Linear(2 * size, size), torch.nn.ReLU()
        )
        self.fused = torch.nn.Linear(2 * size, size)
        self.tag_emissions = torch.nn.Linear(size, len(labels))
        self.span_emissions = torch.nn.Linear(size, len(SPAN_LABELS))
        self.tag_crf = LinearChainCRF(labels)
        self.span_crf = LinearChainCRF(SPAN_LABELS)

    def forward(
        self,
        words: Tensor,
        mask: Tensor,
        images: ImageFeatures | None,
        *,
        objects: ObjectFeatures | None = None,
        **_: Any,
    ) -> SpanOutput:
        """Score every word's tags.

        Args:
            words: (B, T, D_enc) encoder states of the words.
            mask: (B, T) bool, True on words.
            images: The batch's images; None where no post has one.
            objects: Those of the batch, of which the labels are read; None where no post has any.
        """
        words = self.dropout(words)
        text = self.text_encoder(words, mask)  # T (B, T, D)
        span_emissions = self.span_emissions(self.span_encoder(words, mask))  # (B, T, 3)
        regions, region_mask = (None, None) if images is None else (images.regions, images.mask)
        names, name_mask = (None, None) if objects is None else (self.object_labels(objects.labels), objects.mask)
        coarse = self.regions(text, mask, regions, region_mask)  # (B, T, D)
        fine = self.objects(text, mask, names, name_mask)  # (B, T, D)
        joined = self.joined(torch.cat([coarse, fine], dim=-1))
        return SpanOutput(self.tag_emissions(self.fused(torch.cat([text, joined], dim=-1))), mask, span_emissions)
