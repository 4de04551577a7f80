"""GVATT-HBiLSTM-CRF and GVATT-BERT-CRF as Flair models (Lu et al., ACL 2018)."""

from typing import ClassVar

from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.gvatt import GVATTConfig, GVATTNetwork


@register_model("gvatt")
class GVATTTagger(MultimodalTagger):
    """Tags entities from words and one attended picture, which a gate lets into each word.

    Hyperparameters are those of `GVATTConfig`. It says where entities are once it has learned from boxes.
    """

    config_class: ClassVar[type[ModelConfig]] = GVATTConfig
    network_class = GVATTNetwork
