"""UMT-BERT-CRF as a Flair model (Yu et al., ACL 2020)."""

from typing import ClassVar

from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.umt import UMTConfig, UMTNetwork


@register_model("umt")
class UMTTagger(MultimodalTagger):
    """Tags entities from words and all regions of the image, with a span CRF that speaks in the tag CRF's emissions.

    Hyperparameters are those of `UMTConfig`. It says where entities are once it has learned from boxes.
    """

    config_class: ClassVar[type[ModelConfig]] = UMTConfig
    network_class = UMTNetwork
