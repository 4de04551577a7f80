"""An interpretation of UAMNer as a Flair model (Liu et al., 2022), after its abstract alone."""

from typing import ClassVar

from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.uamner import UAMNerConfig, UAMNerNetwork


@register_model("uamner")
class UAMNerTagger(MultimodalTagger):
    """Tags entities from words, and from words and picture where the words alone leave it unsure: an interpretation.

    Neither text nor code of UAMNer were to be had; this follows its abstract. Hyperparameters are those of
    `UAMNerConfig`. It says where entities are once it has learned from boxes.
    """

    config_class: ClassVar[type[ModelConfig]] = UAMNerConfig
    network_class = UAMNerNetwork
