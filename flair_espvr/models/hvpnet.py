"""HVPNeT as a Flair model (Chen et al., Findings of NAACL 2022)."""

from typing import Any, ClassVar

from flair.data import Dictionary, Sentence
from flair.embeddings import TokenEmbeddings
from torch import Tensor

from flair_espvr.embeddings.text.word_vectors import PrefixEmbeddings, keep_vectors, word_mask
from flair_espvr.errors import ConfigurationError
from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.hvpnet import HVPNeTConfig, HVPNeTNetwork


@register_model("hvpnet")
class HVPNeTTagger(MultimodalTagger):
    """Tags entities from words that an encoder reads behind the picture, a prefix in each of its attention layers.

    Hyperparameters are those of `HVPNeTConfig`. It says where entities are once it has learned from boxes.
    """

    config_class: ClassVar[type[ModelConfig]] = HVPNeTConfig
    network_class = HVPNeTNetwork

    def __init__(
        self, embeddings: TokenEmbeddings, label_dictionary: Dictionary, label_type: str, **arguments: Any
    ) -> None:
        """Build an untrained tagger.

        Args:
            embeddings: `CaptionedTransformerEmbeddings` that are fine-tuned, of an encoder that reads a prefix.
            label_dictionary: As for `MultimodalTagger`.
            label_type: As for `MultimodalTagger`.
            arguments: Those of `MultimodalTagger` and the fields of `HVPNeTConfig`.

        Raises:
            ConfigurationError: As of `MultimodalTagger`; or the encoder reads no prefix.
        """
        if not isinstance(embeddings, PrefixEmbeddings):
            raise ConfigurationError(
                f"HVPNeTTagger: {type(embeddings).__name__} cannot put a picture into the encoder's attention; use "
                "CaptionedTransformerEmbeddings"
            )
        super().__init__(embeddings, label_dictionary, label_type, **arguments)

    def network_sizes(self) -> dict[str, Any]:
        """Those of `MultimodalTagger`, and the shape of the encoder's `attention`."""
        return {**super().network_sizes(), "attention": self.embeddings.attention_shape}

    def network_inputs(
        self, sentences: list[Sentence], *, keep_embeddings: bool, tags: Tensor | None
    ) -> dict[str, Any]:
        """Words behind their picture's prefix, their mask and the images; kept vectors are not read again."""
        images = self.images(sentences)
        words = self.embeddings.embed_prefixed(sentences, self.network.prefix(images))
        if keep_embeddings:
            keep_vectors(self.embeddings, sentences, words)
        return {"words": words, "mask": word_mask(words, sentences), "images": images}
