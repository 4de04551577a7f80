"""The ESPVR network: word and region vectors in, tag and span emissions out (paper 3.3 - 3.6)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.layers.fusion import GatedFusion, select_regions
from flair_espvr.nn.layers.positioning import (
    RegionPositions,
    position_each_entity,
    position_regions,
    straight_through_weights,
    window_size,
)
from flair_espvr.nn.layers.self_attention import SelfAttentionStack
from flair_espvr.nn.layers.spans import Spans, bio_spans, span_features

Regions = Literal["positioned", "all", "none"]
Positioning = Literal["straight_through", "hard"]

SPAN_LABELS = ("O", "B", "I")


@dataclass(frozen=True)
class VisualInput:
    """The pictures of a batch.

    Attributes:
        regions: (B,R,Dv) region vectors, row-major over the grid; zero where there is no picture.
        present: (B,) bool, True where there is a picture.
        grid: (H,W) with R = H*W.
    """

    regions: torch.Tensor
    present: torch.Tensor
    grid: tuple[int, int]


@dataclass(frozen=True)
class ESPVROutput:
    """What one forward pass gives.

    Attributes:
        text: (B,T,D) the words after self-attention.
        mask: (B,T) bool, True on words.
        tag_emissions: (B,T,L).
        span_emissions: (B,T,3) over `SPAN_LABELS`, or None with `regions="none"`.
        regions: (B,R,D) projected regions, or None where no sentence has a picture.
        positions: what was positioned for fusion, or None where nothing was.
    """

    text: torch.Tensor
    mask: torch.Tensor
    tag_emissions: torch.Tensor
    span_emissions: torch.Tensor | None = None
    regions: torch.Tensor | None = None
    positions: RegionPositions | None = None


class ESPVRNetwork(torch.nn.Module):
    """Self-attention, span CRF, region positioning, gated cross-modal fusion and tag CRF."""

    def __init__(
        self,
        *,
        word_size: int,
        region_size: int | None,
        labels: Sequence[str],
        regions: Regions,
        positioning: Positioning,
        window: int,
        hidden_size: int,
        num_heads: int,
        num_layers: int,
        dropout: float,
        span_loss_weight: float,
    ) -> None:
        """Builds the layers that `regions` needs: text alone has neither span CRF nor fusion.

        Args:
            word_size: size of the incoming word vectors.
            region_size: Dv, size of the incoming region vectors; None with `regions="none"`.
            labels: BIO2 tags, `"O"` first.
            regions: which regions the fusion reads: the positioned window, all of them, or none.
            positioning: whether the position receives a gradient in training.
            window: edge of the positioned window, in regions.
            hidden_size: D.
            num_heads: heads of every attention layer.
            num_layers: self-attention layers over the words.
            dropout: in every attention layer and before both emissions.
            span_loss_weight: lambda of Eq. 10.
        """
        super().__init__()
        self.region_use = regions
        self.positioning = positioning
        self.window = window
        self.span_loss_weight = span_loss_weight
        self.dropout = torch.nn.Dropout(dropout)
        self.text_encoder = SelfAttentionStack(
            word_size, hidden_size, num_heads=num_heads, num_layers=num_layers, dropout=dropout
        )
        self.tag_crf = LinearChainCRF(labels)
        if region_size is None:
            self.tag_emissions = torch.nn.Linear(hidden_size, len(labels))
        else:
            self.span_emissions = torch.nn.Linear(hidden_size, len(SPAN_LABELS))
            self.span_crf = LinearChainCRF(SPAN_LABELS)
            self.region_projection = torch.nn.Linear(region_size, hidden_size)
            self.fusion = GatedFusion(hidden_size, num_heads, dropout)
            self.tag_emissions = torch.nn.Linear(2 * hidden_size, len(labels))

    def forward(
        self, words: torch.Tensor, mask: torch.Tensor, visual: VisualInput | None, spans: Spans | None = None
    ) -> ESPVROutput:
        """Scores every word's tags.

        Args:
            words: (B,T,D_enc) encoder states of the words.
            mask: (B,T) bool, True on words.
            visual: the batch's pictures; None where no sentence has one.
            spans: entity spans to position with in place of the predicted ones (teacher forcing).

        Returns:
            Emissions and what led to them.
        """
        text = self.text_encoder(words, mask)  # (B,T,D)
        if self.region_use == "none":
            return ESPVROutput(text, mask, self.tag_emissions(self.dropout(text)))
        span_emissions = self.span_emissions(self.dropout(text))  # (B,T,3)
        if visual is None:
            nothing = text.new_zeros(text.shape[0], 0, text.shape[2])
            fused = self.fusion(text, mask, nothing, mask[:, :0])
            return ESPVROutput(text, mask, self.tag_emissions(self.dropout(fused)), span_emissions)
        regions = self.region_projection(visual.regions)  # (B,R,D)
        if self.region_use == "all":
            attended, region_mask, positions = regions, visual.present[:, None].expand(regions.shape[:2]), None
        else:
            spans = self.predict_spans(span_emissions, mask) if spans is None else spans
            attended, region_mask, positions = self._position(text, spans, regions, visual)
        fused = self.fusion(text, mask, attended, region_mask)  # (B,T,2D)
        return ESPVROutput(text, mask, self.tag_emissions(self.dropout(fused)), span_emissions, regions, positions)

    def predict_spans(self, span_emissions: torch.Tensor, mask: torch.Tensor) -> Spans:
        """Entity spans by the span CRF's Viterbi (paper 3.3, ESI)."""
        crf = self.span_crf
        return bio_spans(crf.decode(span_emissions, mask), mask, begin=crf.begin, inside=crf.inside)

    def decode(self, output: ESPVROutput) -> Spans:
        """Entities by the tag CRF's Viterbi (paper 3.5); a type is its place in `tag_crf.types`."""
        crf = self.tag_crf
        return bio_spans(crf.decode(output.tag_emissions, output.mask), output.mask, begin=crf.begin, inside=crf.inside)

    def loss(self, output: ESPVROutput, tags: torch.Tensor, span_tags: torch.Tensor) -> torch.Tensor:
        """Eq. 10 with `span_loss_weight` on the span term, per sentence.

        Args:
            output: of `forward`.
            tags: (B,T) gold tag ids.
            span_tags: (B,T) gold ids over `SPAN_LABELS`.

        Returns:
            (B,) negative log-likelihoods.
        """
        loss = self.tag_crf.loss(output.tag_emissions, tags, output.mask)
        if output.span_emissions is not None:
            loss = loss + self.span_loss_weight * self.span_crf.loss(output.span_emissions, span_tags, output.mask)
        return loss

    def position_entities(self, output: ESPVROutput, spans: Spans, visual: VisualInput) -> RegionPositions:
        """Positions every entity by itself, for the region that supports it.

        Args:
            output: of `forward` on the same batch.
            spans: M entities per sentence.
            visual: the batch's pictures.

        Returns:
            One row per entity, sentence by sentence: B*M rows of one entity each.
        """
        if output.regions is None:
            raise ValueError("this output has no regions: the network was built or called without pictures")
        entity_mask = spans.mask & visual.present[:, None]
        return position_each_entity(
            span_features(output.text, spans), entity_mask, output.regions, grid=visual.grid, window=self.window
        )

    def _position(
        self, text: torch.Tensor, spans: Spans, regions: torch.Tensor, visual: VisualInput
    ) -> tuple[torch.Tensor, torch.Tensor, RegionPositions]:
        """The positioned regions v (B,V,D), which of them exist (B,V), and their positions (paper 3.3, VRP)."""
        entity_mask = spans.mask & visual.present[:, None]
        positions = position_regions(
            span_features(text, spans), entity_mask, regions, grid=visual.grid, window=self.window
        )
        if self.positioning == "straight_through" and self.training:
            regions = regions * straight_through_weights(positions, entity_mask)[:, :, None]
        area = math.prod(window_size(visual.grid, self.window))
        return *select_regions(regions, positions.mask, area), positions
