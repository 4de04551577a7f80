"""AdaCAN-CNN-BiLSTM-CRF and AdaCAN-BERT-CRF as Flair models (Zhang et al., AAAI 2018)."""

from typing import ClassVar

from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.adacan import AdaCANConfig, AdaCANNetwork


@register_model("adacan")
class AdaCANTagger(MultimodalTagger):
    """Tags entities from words and a feature that words and picture attend to each other for.

    Hyperparameters are those of `AdaCANConfig`. It says where entities are once it has learned from boxes.
    """

    config_class: ClassVar[type[ModelConfig]] = AdaCANConfig
    network_class = AdaCANNetwork
