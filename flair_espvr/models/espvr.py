"""ESPVR as a Flair model: entity spans position visual regions (Findings of EMNLP 2023)."""

from typing import Any, ClassVar

import torch
from flair.data import Sentence
from torch import Tensor

from flair_espvr.models.gold_regions import gold_regions
from flair_espvr.models.inference import evaluating
from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.layers.positioning import RegionPositions
from flair_espvr.nn.networks.espvr import ESPVRConfig, ESPVRNetwork


@register_model("espvr")
class ESPVRTagger(MultimodalTagger):
    """Tags entities from words, caption and the image regions that the entities' own spans position.

    Hyperparameters are those of `ESPVRConfig`. Without `region_embeddings` it is its own text side, whatever `regions`
    says.
    """

    config_class: ClassVar[type[ModelConfig]] = ESPVRConfig
    network_class = ESPVRNetwork
    config: ESPVRConfig
    network: ESPVRNetwork

    def network_inputs(
        self, sentences: list[Sentence], *, keep_embeddings: bool, tags: Tensor | None
    ) -> dict[str, Any]:
        """Words and images; in training also the posts whose labels say where entities are.

        With `positioning_spans="gold"` the gold spans, too (teacher forcing).
        """
        inputs = super().network_inputs(sentences, keep_embeddings=keep_embeddings, tags=tags)
        if tags is None or not self.training:
            return inputs
        if self.config.positioning_spans == "gold":
            inputs["spans"] = self.network.spans_of(tags, inputs["mask"])
        if self.config.regions == "positioned" and self.config.position_loss_weight:
            known = gold_regions(sentences, self.label_type)
            inputs["taught"] = None if known is None else known.spans.mask.any(dim=1)
        return inputs

    def position_regions(self, sentences: list[Sentence]) -> RegionPositions | None:
        """Where the fusion looks for B non-empty sentences (b_c, b_l and v), see `ESPVROutput.positions`.

        None unless regions are positioned and a sentence has an image.
        """
        with torch.no_grad(), evaluating(self):
            output, _ = self(sentences)
        return output.positions
