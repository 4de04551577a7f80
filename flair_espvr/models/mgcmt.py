"""MGCMT as a Flair model (Liu et al., Information Processing and Management 2024)."""

from typing import ClassVar

from flair_espvr.models.object_labels import ObjectLabelTagger
from flair_espvr.models.registry import register_model
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.mgcmt import MGCMTConfig, MGCMTNetwork


@register_model("mgcmt")
class MGCMTTagger(ObjectLabelTagger):
    """Tags entities from words, all regions of the image and the names of the objects in it.

    Hyperparameters are those of `MGCMTConfig`. It says where entities are once it has learned from boxes.
    """

    config_class: ClassVar[type[ModelConfig]] = MGCMTConfig
    network_class = MGCMTNetwork
