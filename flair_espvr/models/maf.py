"""MAF as a Flair model (Xu et al., WSDM 2022)."""

from typing import ClassVar

from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.maf import MAFConfig, MAFNetwork


@register_model("maf")
class MAFTagger(MultimodalTagger):
    """Tags entities from words and all regions of the image, as far as the image is found to match the text.

    Hyperparameters are those of `MAFConfig`. It says where entities are once it has learned from boxes. In training it
    compares the posts of a batch, so Flair's `mini_batch_chunk_size` is refused.
    """

    config_class: ClassVar[type[ModelConfig]] = MAFConfig
    network_class = MAFNetwork
