"""An interpretation of M3S as a Flair model (Wang et al., TASLP 2023), after its abstract alone."""

from typing import ClassVar

from flair_espvr.models.object_labels import ObjectLabelTagger
from flair_espvr.models.registry import register_model
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.m3s import M3SConfig, M3SNetwork


@register_model("m3s")
class M3STagger(ObjectLabelTagger):
    """Finds entities by the words, and types them by regions, objects and their places: an interpretation.

    Neither text nor code of M3S were to be had; this follows its abstract. Hyperparameters are those of `M3SConfig`. It
    says where entities are once it has learned from boxes.
    """

    config_class: ClassVar[type[ModelConfig]] = M3SConfig
    network_class = M3SNetwork
