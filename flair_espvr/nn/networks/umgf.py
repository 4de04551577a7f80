"""The UMGF network: a graph of words and of one crop for each type of entity (Zhang et al., AAAI 2021)."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from flair_espvr.nn.config import ModelConfig, Names, PositiveInt, Share, require_heads
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures, ObjectFeatures
from flair_espvr.nn.layers.bimodal_graph import BimodalGraphLayer
from flair_espvr.nn.network import Network, NetworkOutput, known_size

TYPE_WORDS = ("miscellaneous", "person", "location", "organization")


class UMGFConfig(ModelConfig):
    """Hyperparameters of UMGF; the defaults are those that the paper prints, or else those of its code."""

    type_words: Annotated[Names, Field(min_length=1)] = (
        "miscellaneous",
        "person",
        "location",
        "organization",
    )
    """Labels of the objects whose crops are nodes, one of each; they are the prompts of the grounding."""

    hidden_size: PositiveInt = 512
    """D, size of the nodes."""

    num_heads: PositiveInt = 8
    """Heads of every attention layer."""

    num_layers: PositiveInt = 2
    """Layers of the graph; the published code has 6."""

    feedforward_size: PositiveInt = 256
    """Width of the feed-forward networks."""

    dropout: Share = 0.5
    """On crops and in every layer; the published code has 0.4."""

    @property
    def reads_objects(self) -> bool:
        """Always."""
        return True


class UMGFNetwork(Network[NetworkOutput]):
    """Words beside what a graph of words and crops makes of them.

    Arguments are those of `Network`.
    """

    def __init__(self, config: UMGFConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        self.config = config
        size = config.hidden_size
        require_heads(size, config.num_heads)
        self.word_nodes = torch.nn.Linear(word_size, size)
        self.crop_nodes = torch.nn.Sequential(
            torch.nn.Linear(known_size(region_size), size),
            torch.nn.ReLU(),
            torch.nn.Dropout(config.dropout),
            torch.nn.Linear(size, size),
            torch.nn.ReLU(),
        )
        self.layers = torch.nn.ModuleList(
            BimodalGraphLayer(
                size,
                num_heads=config.num_heads,
                feedforward_size=config.feedforward_size,
                dropout=config.dropout,
            )
            for _ in range(config.num_layers)
        )
        self.tag_emissions = torch.nn.Linear(word_size + size, len(labels))
        self.tag_crf = LinearChainCRF(labels)

    def forward(
        self,
        words: Tensor,
        mask: Tensor,
        images: ImageFeatures | None,
        *,
        objects: ObjectFeatures | None = None,
        **_: Any,
    ) -> NetworkOutput:
        """Score every word's tags.

        Args:
            words: (B, T, D_enc) encoder states of the words.
            mask: (B, T) bool, True on words.
            images: The batch's images; None where no post has one. A post without one has no crops.
            objects: One for each of the type words, with the vectors of their crops; the whole image stands for those
                that are masked out, and for all where this is None.
        """
        nodes = self.word_nodes(words)  # (B, T, D)
        count = len(self.config.type_words)
        seen = nodes.new_zeros(len(nodes), count, nodes.shape[-1])
        seen_mask = mask.new_zeros(len(nodes), count)
        if images is not None:
            crops = images.pooled.unsqueeze(1).expand(-1, count, -1)  # (B, O, Dv)
            if objects is not None and objects.vectors is not None:
                crops = torch.where(objects.mask.unsqueeze(-1), objects.vectors, crops)
            seen, seen_mask = self.crop_nodes(crops), images.present[:, None].expand(-1, count)
        for layer in self.layers:
            nodes, seen = layer(nodes, mask, seen, seen_mask)
        return NetworkOutput(self.tag_emissions(torch.cat([words, nodes], dim=-1)), mask)
