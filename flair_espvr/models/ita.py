"""ITA as a Flair model (Wang et al., NAACL 2022)."""

from typing import Any, ClassVar

from flair.data import Dictionary, Sentence
from flair.embeddings import TokenEmbeddings
from torch import Tensor

from flair_espvr.embeddings.text.word_vectors import ContextEmbeddings
from flair_espvr.errors import ConfigurationError
from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.ita import ITAConfig, ITANetwork


@register_model("ita")
class ITATagger(MultimodalTagger):
    """Tags entities from words and contexts: tags, captions and text of the picture, and from words alone as well.

    It looks at no picture. A post is tagged with the contexts that it has, which may be none: training teaches the
    view without contexts what the view with them says.
    """

    config_class: ClassVar[type[ModelConfig]] = ITAConfig
    network_class = ITANetwork

    def __init__(
        self, embeddings: TokenEmbeddings, label_dictionary: Dictionary, label_type: str, **arguments: Any
    ) -> None:
        """Build an untrained tagger.

        Args:
            embeddings: `CaptionedTransformerEmbeddings`, whose `contexts` are read.
            label_dictionary: As for `MultimodalTagger`.
            label_type: As for `MultimodalTagger`.
            arguments: Those of `MultimodalTagger` and the fields of `ITAConfig`.

        Raises:
            ConfigurationError: As of `MultimodalTagger`; or the embeddings cannot leave contexts unread.
        """
        if not isinstance(embeddings, ContextEmbeddings):
            raise ConfigurationError(
                f"ITATagger: {type(embeddings).__name__} cannot read a post with its contexts and without them, which "
                "training aligns; use CaptionedTransformerEmbeddings"
            )
        super().__init__(embeddings, label_dictionary, label_type, **arguments)

    def network_inputs(
        self, sentences: list[Sentence], *, keep_embeddings: bool, tags: Tensor | None
    ) -> dict[str, Any]:
        """Words with their contexts; in training also `text_words`, the same words alone, which nothing keeps."""
        inputs = super().network_inputs(sentences, keep_embeddings=keep_embeddings, tags=tags)
        if tags is not None and self.training:
            inputs["text_words"] = self.embeddings.embed_text(sentences)
        return inputs
