"""The HVPNeT network: the picture is a prefix in every attention layer of the encoder (Chen et al., 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flair_espvr.nn.config import ModelConfig, PositiveInt, Share
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.several_images import region_mask
from flair_espvr.nn.layers.visual_prefix import AttentionShape, EncoderPrefix, VisualPrefix
from flair_espvr.nn.network import Network, NetworkOutput, known_size


class HVPNeTConfig(ModelConfig):
    """Hyperparameters of HVPNeT; the defaults are those of the published code."""

    cells: PositiveInt = 2
    """Rows and columns that a picture's regions are averaged to; each cell is one position of the prefix."""

    views: PositiveInt = 4
    """Views of each cell, of which each layer of the encoder has a mixture of its own."""

    prefix_hidden_size: PositiveInt = 800
    """Size between the two layers that make the prefix."""

    dropout: Share = 0.1
    """On the word vectors."""


class HVPNeTNetwork(Network[NetworkOutput]):
    """A linear layer and a CRF over the words of an encoder that has read a prefix of this network.

    Arguments are those of `Network`, and `attention`, the shape of the encoder's.
    """

    def __init__(
        self,
        config: HVPNeTConfig,
        *,
        word_size: int,
        region_size: int | None,
        labels: Sequence[str],
        attention: AttentionShape,
    ) -> None:
        super().__init__(labels=labels)
        self.config = config
        self.visual_prefix = VisualPrefix(
            known_size(region_size),
            hidden_size=config.prefix_hidden_size,
            views=config.views,
            attention=attention,
        )
        self.dropout = torch.nn.Dropout(config.dropout)
        self.tag_emissions = torch.nn.Linear(word_size, len(labels))
        self.tag_crf = LinearChainCRF(labels)

    def prefix(self, images: ImageFeatures | None) -> EncoderPrefix | None:
        """Return what the encoder reads before the words: the P cells of each picture that is there, one by one.

        Args:
            images: The batch's images; None where no post has one.
        """
        if images is None:
            return None
        cells, slots = self.config.cells, images.slots
        pictures = images.regions.reshape(slots.numel(), -1, images.regions.shape[2])  # (B * K, R, Dv)
        grid = pictures.transpose(1, 2).unflatten(-1, images.grid)  # (B * K, Dv, H, W)
        pooled = torch.nn.functional.adaptive_avg_pool2d(grid, cells).flatten(2).transpose(1, 2)  # (B * K, P, Dv)
        states = self.visual_prefix(pooled)  # (N, 2, B * K, heads, P, head_size)
        states = states.unflatten(2, slots.shape).transpose(3, 4).flatten(4, 5)  # (N, 2, B, heads, K * P, head_size)
        return EncoderPrefix(states, region_mask(slots, states.shape[4]))

    def forward(self, words: Tensor, mask: Tensor, images: ImageFeatures | None, **_: Any) -> NetworkOutput:
        """Score every word's tags.

        Args:
            words: (B, T, D_enc) states of the words, in the encoder's last layer behind the `prefix` of the images.
            mask: (B, T) bool, True on words.
            images: Not read here.
        """
        return NetworkOutput(self.tag_emissions(self.dropout(words)), mask)
