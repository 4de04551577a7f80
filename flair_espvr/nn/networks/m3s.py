"""An interpretation of M3S after its abstract: spans first, then types, with a scene graph (Wang et al., 2023)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flair_espvr.nn.config import ObjectLabelConfig, PositiveInt, Share, require_heads
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures, ObjectFeatures
from flair_espvr.nn.layers.cross_modal import CrossModalLayer
from flair_espvr.nn.layers.gate import Gate, mix
from flair_espvr.nn.layers.scene_graph import SceneGraph
from flair_espvr.nn.layers.self_attention import SelfAttentionStack
from flair_espvr.nn.network import SPAN_LABELS, known_size
from flair_espvr.nn.span_network import SpanConfig, SpanNetwork, SpanOutput


class M3SConfig(ObjectLabelConfig, SpanConfig):
    """Hyperparameters of an interpretation of M3S; those of the publication are not known, so all are ours."""

    hidden_size: PositiveInt | None = None
    """D; None for the size of the word vectors."""

    num_heads: PositiveInt = 12
    """Heads of every attention layer."""

    num_layers: PositiveInt = 1
    """Self-attention layers over the words."""

    dropout: Share = 0.1
    """On the word vectors, in every layer and before both emissions."""


class M3SNetwork(SpanNetwork):
    """Segmentation by the words alone, and types by words, segments and two granularities of the image.

    An interpretation after M3S's abstract, which says no more than that. Arguments are those of `Network`.
    """

    def __init__(self, config: M3SConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        self.config = config
        size, heads = config.hidden_size or word_size, config.num_heads
        require_heads(size, heads)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.text_encoder = SelfAttentionStack(
            word_size, size, num_heads=heads, num_layers=config.num_layers, dropout=config.dropout
        )
        self.span_emissions = torch.nn.Linear(size, len(SPAN_LABELS))
        self.span_embedding = torch.nn.Linear(len(SPAN_LABELS), size, bias=False)
        self.region_projection = torch.nn.Linear(known_size(region_size), size)
        self.scene_graph = SceneGraph(len(config.object_labels) + 1, size)
        self.words_to_regions, self.words_to_graph = (CrossModalLayer(size, heads, config.dropout) for _ in range(2))
        self.gate = Gate(size, size, size=size)
        self.tag_emissions = torch.nn.Linear(2 * size, len(labels))
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
            objects: Those of the batch, of which labels and boxes are read; None where no post has any.
        """
        text = self.text_encoder(self.dropout(words), mask)  # T (B, T, D)
        span_emissions = self.span_emissions(self.dropout(text))  # (B, T, 3)
        segmented = text + self.span_embedding(span_emissions.softmax(dim=-1))
        regions, region_mask = nodes, node_mask = text[:, :0], mask[:, :0]
        if images is not None:
            regions, region_mask = self.region_projection(images.regions), images.mask
        if objects is not None:
            nodes, node_mask = self.scene_graph(objects.labels, objects.boxes, objects.mask, objects.images)
        grid = self.words_to_regions(text, regions, region_mask)
        graph = self.words_to_graph(text, nodes, node_mask)
        seen = mix(self.gate(grid, graph), grid, graph)  # (B, T, D)
        emissions = self.tag_emissions(self.dropout(torch.cat([segmented, seen], dim=-1)))
        return SpanOutput(emissions, mask, span_emissions)
