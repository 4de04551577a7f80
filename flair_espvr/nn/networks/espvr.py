"""The ESPVR network: word and region vectors in, tag and span emissions out (paper 3.3 - 3.6)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import Self

from flair_espvr.nn.config import ModelConfig, NaturalNumber, PositiveInt, Share, Weight, require_heads
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.grounding.tensors import GoldRegions
from flair_espvr.nn.layers.fusion import GatedFusion, select_regions
from flair_espvr.nn.layers.positioning import (
    Placement,
    RegionPositions,
    attention_logits,
    position_each_entity,
    position_regions,
    straight_through_weights,
    window_size,
)
from flair_espvr.nn.layers.self_attention import SelfAttentionStack
from flair_espvr.nn.layers.several_images import without_absent
from flair_espvr.nn.layers.spans import Spans, bio_spans, span_features
from flair_espvr.nn.network import SPAN_LABELS, Network, NetworkOutput


class ESPVRConfig(ModelConfig):
    """Hyperparameters of ESPVR; the defaults are the paper's where it prints them."""

    meant_before: ClassVar[Mapping[str, Any]] = {
        **ModelConfig.meant_before,
        "window_placement": "paper",
        "window_of": "sentence",
        "position_loss_weight": 1.0,
    }

    regions: Literal["positioned", "all", "none"] = "positioned"
    """`"positioned"` (the paper), `"all"` (the whole image) or `"none"` (text and caption only)."""

    positioning: Literal["straight_through", "hard"] = "straight_through"
    """`"straight_through"` gives the window's place a gradient in training, `"hard"` (the paper) does not; both predict
    alike."""

    positioning_spans: Literal["predicted", "gold"] = "predicted"
    """Position with the `"predicted"` spans (the paper), or in training with the `"gold"` ones."""

    window: PositiveInt = 8
    """Edge of the positioned window, in regions (the paper's alpha, which it does not print)."""

    window_placement: Placement = "centered"
    """`"centered"` on b_c, or from the smaller row and column of b_c and b_l on (`"paper"`), with b_c in a corner."""

    window_of: Literal["sentence", "entity"] = "sentence"
    """One window for the `"sentence"`, from all its entities together (the paper), or one for each `"entity"`; fusion
    reads the regions that lie in any of them."""

    hidden_size: PositiveInt = 512
    """D."""

    num_heads: PositiveInt = 8
    """Heads of every attention layer."""

    num_layers: NaturalNumber = 4
    """Self-attention layers over the words (3.3)."""

    dropout: Share = 0.4
    """In every layer, and before both emissions."""

    span_loss_weight: Weight = 0.08
    """Lambda of Eq. 10."""

    position_loss_weight: Weight = 1.0
    """What the term `"positions"` counts: how much of Eq. 1's relevance misses the gold regions, where labels have any
    and the window is positioned. The paper has no such term."""

    @property
    def reads_images(self) -> bool:
        """Whether fusion reads any regions."""
        return self.regions != "none"

    def without_images(self) -> Self:
        """Return the text side alone."""
        return self.model_copy(update={"regions": "none"})


@dataclass(frozen=True)
class ESPVROutput(NetworkOutput):
    """What one forward pass gives.

    Attributes:
        text: (B, T, D) the words after self-attention.
        span_emissions: (B, T, 3) over `SPAN_LABELS`, or None with `regions="none"`.
        regions: (B, R, D) projected regions, or None where no post has an image.
        positions: What was positioned for fusion, one row a post, or with `window_of="entity"` one an entity, post by
            post; None where nothing was.
    """

    text: Tensor
    span_emissions: Tensor | None = None
    regions: Tensor | None = None
    positions: RegionPositions | None = None


class ESPVRNetwork(Network[ESPVROutput]):
    """Self-attention, span CRF, region positioning, gated cross-modal fusion and tag CRF.

    Text alone (`region_size=None`) has neither span CRF nor fusion. Arguments are those of `Network`.
    """

    def __init__(self, config: ESPVRConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        self.config = config
        size = config.hidden_size
        require_heads(size, config.num_heads)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.text_encoder = SelfAttentionStack(
            word_size, size, num_heads=config.num_heads, num_layers=config.num_layers, dropout=config.dropout
        )
        self.tag_crf = LinearChainCRF(labels)
        if region_size is None:
            self.tag_emissions = torch.nn.Linear(size, len(labels))
        else:
            self.span_emissions = torch.nn.Linear(size, len(SPAN_LABELS))
            self.span_crf = LinearChainCRF(SPAN_LABELS)
            self.region_projection = torch.nn.Linear(region_size, size)
            self.fusion = GatedFusion(size, config.num_heads, config.dropout)
            self.tag_emissions = torch.nn.Linear(2 * size, len(labels))

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Lambda of Eq. 10 for the span term, and what the positions count."""
        return {"spans": self.config.span_loss_weight, "positions": self.config.position_loss_weight}

    def forward(
        self,
        words: Tensor,
        mask: Tensor,
        images: ImageFeatures | None,
        *,
        spans: Spans | None = None,
        taught: Tensor | None = None,
        **_: Any,
    ) -> ESPVROutput:
        """Score every word's tags.

        Args:
            words: (B, T, D_enc) encoder states of the words.
            mask: (B, T) bool, True on words.
            images: The batch's images; None where no post has one.
            spans: Entity spans to position with in place of the predicted ones (teacher forcing).
            taught: (B,) bool, posts that `place_losses` teaches where to look: their positions need no straight-through
                gradient, which grows with the relevance of single regions and, of a relevance that has learned, is
                large.

        Returns:
            Emissions and what led to them.
        """
        text = self.text_encoder(words, mask)  # (B, T, D)
        if not self.config.reads_images:
            return ESPVROutput(self.tag_emissions(self.dropout(text)), mask, text)
        span_emissions = self.span_emissions(self.dropout(text))  # (B, T, 3)
        if images is None:
            nothing = text.new_zeros(text.shape[0], 0, text.shape[2])
            fused = self.fusion(text, mask, nothing, mask[:, :0])
            return ESPVROutput(self.tag_emissions(self.dropout(fused)), mask, text, span_emissions)
        regions = self.region_projection(images.regions)  # (B, R, D)
        if self.config.regions == "all":
            attended, region_mask, positions = regions, images.mask, None
        else:
            spans = self.predict_spans(span_emissions, mask) if spans is None else spans
            attended, region_mask, positions = self._position(text, spans, regions, images, taught)
        fused = self.fusion(text, mask, attended, region_mask)  # (B, T, 2D)
        emissions = self.tag_emissions(self.dropout(fused))
        return ESPVROutput(emissions, mask, text, span_emissions, regions, positions)

    def predict_spans(self, span_emissions: Tensor, mask: Tensor) -> Spans:
        """Entity spans by the span CRF's Viterbi (paper 3.3, ESI)."""
        crf = self.span_crf
        return bio_spans(crf.decode(span_emissions, mask), mask, begin=crf.begin, inside=crf.inside)

    def losses(self, output: ESPVROutput, tags: Tensor) -> dict[str, Tensor]:
        """Return the two terms of Eq. 10: `"tags"` and, with regions, `"spans"`, negative log-likelihoods (B,) each."""
        losses = super().losses(output, tags)
        if output.span_emissions is not None:
            losses["spans"] = self.span_crf.loss(output.span_emissions, self.span_tags(tags), output.mask)
        return losses

    def place_losses(self, output: ESPVROutput, images: ImageFeatures, gold: GoldRegions) -> dict[str, Tensor]:
        """Return `"positions"`, where a window is positioned: the sum over a post's entities of -log sum_r t_r p_r.

        p is an entity's relevance (Eq. 1), t the share of each region that its boxes cover. An entity that no image
        shows gives nothing.
        """
        if output.positions is None:
            return {}
        logits = self.attention_map(output, gold.spans)
        assert logits is not None
        relevance = without_absent(logits, images.several).log_softmax(dim=2)  # (B, M, K * R)
        covered = gold.covered(images.slots, images.grid).flatten(2)
        nowhere = ~covered.any(dim=2, keepdim=True)
        missed = -(relevance + covered.masked_fill(nowhere, 1.0).log()).logsumexp(dim=2)
        return {"positions": missed.sum(dim=1)}

    def attention_map(self, output: ESPVROutput, spans: Spans) -> Tensor | None:
        """Return the logits of Eq. 1 for each entity by itself, (B, M, R)."""
        return None if output.regions is None else attention_logits(span_features(output.text, spans), output.regions)

    def position_entities(self, output: ESPVROutput, spans: Spans, images: ImageFeatures) -> RegionPositions:
        """Position every entity by itself, for the region that supports it.

        Args:
            output: Of `forward` on the same batch.
            spans: M entities per post.
            images: The batch's images.

        Returns:
            One row per entity, post by post, B * M rows of one entity each.

        Raises:
            ValueError: If the output has no regions.
        """
        if output.regions is None:
            raise ValueError("this output has no regions: the network was built or called without images")
        entity_mask = spans.mask & images.present[:, None]
        features = span_features(output.text, spans)
        return position_each_entity(features, entity_mask, output.regions, **self._window(images))

    def _position(
        self, text: Tensor, spans: Spans, regions: Tensor, images: ImageFeatures, taught: Tensor | None
    ) -> tuple[Tensor, Tensor, RegionPositions]:
        """Return the positioned regions v (B, V, D), which exist (B, V), and their positions (paper 3.3, VRP)."""
        entity_mask = spans.mask & images.present[:, None]
        posts, count = regions.shape[:2]
        position, windows = position_regions, 1
        if self.config.window_of == "entity":
            position, windows = position_each_entity, entity_mask.shape[1]
        positions = position(span_features(text, spans), entity_mask, regions, **self._window(images))
        if self.config.positioning == "straight_through" and self.training:
            scores = positions.scores.view(*entity_mask.shape, count)
            if taught is not None:
                scores = torch.where(taught[:, None, None], scores.detach(), scores)
            regions = regions * straight_through_weights(scores, entity_mask, images.several)[:, :, None]
        within = positions.mask.view(posts, windows, count).any(dim=1)
        most = min(count, windows * math.prod(window_size(images.grid, self.config.window)))
        return *select_regions(regions, within, most), positions

    def _window(self, images: ImageFeatures) -> dict[str, Any]:
        sizes = {"grid": images.grid, "window": self.config.window, "placement": self.config.window_placement}
        return {**sizes, "pictures": images.several}
