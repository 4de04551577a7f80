"""Embeddings inside a model file: which may be rebuilt from it, and what their parameters must look like.

Flair rebuilds embeddings by calling the class that the file names with the parameters that the file holds. Some of
those classes would unpickle a file, or let transformers fetch code, if the parameters said so; here they may not.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from flair.data import Dictionary
from flair.embeddings import Embeddings, StackedEmbeddings, TransformerEmbeddings
from flair.embeddings.base import EMBEDDING_CLASSES, load_embeddings

from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.models.files.tokenizer_archive import check_settings, check_tokenizer, settings_in

_FLAIR_CLASSES = {
    "CharacterEmbeddings",
    "FlairEmbeddings",
    "HashEmbeddings",
    "OneHotEmbeddings",
    "StackedEmbeddings",
    "TransformerWordEmbeddings",
    "WordEmbeddings",
}
"""Flair's own word-level embeddings that are rebuilt from plain parameters alone."""

_DICTIONARIES = {"path_to_char_dict", "vocab_dictionary", "dictionary"}
"""Parameters for which Flair also takes a path, and then unpickles the file there."""

_TRANSFORMER_PARAMETERS = {
    *("__cls__", "model", "name", "tokenizer_data", "config_state_dict"),
    *("fine_tune", "layers", "layer_mean", "subtoken_pooling", "cls_pooling"),
    *("is_token_embedding", "is_document_embedding", "allow_long_sentences", "force_max_length"),
    *("context_length", "context_dropout", "respect_document_boundaries", "use_context_separator"),
    *("use_lang_emb", "needs_manual_ocr"),
}
"""What Flair writes of a transformer. Any other parameter would go on to transformers, which may take it for an order
to fetch code (`trust_remote_code`) or to wrap the model (`peft_config`)."""

_ATTENTION_KEYS = {"attn_implementation", "_attn_implementation", "_attn_implementation_internal"}
_ATTENTION = {None, "eager", "sdpa"}
"""How attention may be computed: by torch itself. A hub name is code to fetch; so is `flash_attention_2` where the
package `kernels` is installed and `flash_attn` is not."""

_FETCHING_KEYS = {"backbone", "backbone_config", "use_pretrained_backbone", "use_timm_backbone", "quantization_config"}
"""Settings of models that are no text encoders, by which transformers builds, fetches or wraps a second model."""

_FETCHING_MODELS = {"mamba", "falcon_mamba"}
"""Models for which transformers fetches a kernel where the package `kernels` is installed."""


def savable(embeddings: Embeddings[Any]) -> None:
    """Makes sure, before any training, that a model file can hold these embeddings.

    Raises:
        ConfigurationError: loading them again would mean running code from the file.
    """
    for part in _parts(embeddings):
        name = getattr(type(part), "embeddings_name", type(part).__name__)
        if not _allowed(name):
            raise ConfigurationError(
                f"{type(part).__name__} cannot be kept in a model file that is loaded without running code; use one of "
                f"{', '.join(sorted(_FLAIR_CLASSES | {'CaptionedTransformerEmbeddings'}))}, or register a class of "
                "your own with flair.embeddings.base.register_embeddings"
            )
        if isinstance(part, TransformerEmbeddings):
            attention = getattr(part.model.config, "_attn_implementation", None)
            if attention not in _ATTENTION:
                raise ConfigurationError(
                    f"attn_implementation={attention!r}: a model file that asks for it could not be loaded without "
                    "running fetched code; use 'sdpa', torch's own fused attention, or 'eager'"
                )


def rebuild(params: dict[str, Any]) -> Embeddings[Any]:
    """The embeddings that a model file describes.

    Args:
        params: what `save_embeddings(use_state_dict=False)` gave, read back.

    Raises:
        UnsafeModelError: the parameters name a class that is not allowed, or ask it to load code.
    """
    _check(params)
    return load_embeddings(params)


def _check(params: dict[str, Any]) -> None:
    check_settings(params)
    for key, value in settings_in(params):
        if isinstance(value, dict) and "__cls__" in value:
            _check_class(value)
        if key in _ATTENTION_KEYS and not _ATTENTION.issuperset(_leaves(value)):
            raise UnsafeModelError(
                f"the model file asks for attention by {value!r:.60}, which may mean a kernel to fetch; nothing was run"
            )
        if (key in _FETCHING_KEYS and value) or (key == "model_type" and str(value) in _FETCHING_MODELS):
            raise UnsafeModelError(f"the model file asks for parts to be fetched ({key}={value!r:.60}); nothing was")
        if key in _DICTIONARIES and not isinstance(value, Dictionary):
            raise UnsafeModelError(f"the model file names a file to unpickle ({key}={value!r:.60}); nothing was run")


def _check_class(params: dict[str, Any]) -> None:
    name = params["__cls__"]
    if not isinstance(name, str) or not _allowed(name):
        raise UnsafeModelError(
            f"the model file asks for embeddings of the kind {name!r:.60}, which are not loaded from files"
        )
    kind = EMBEDDING_CLASSES[name]
    if name == "CharacterEmbeddings" and "path_to_char_dict" not in params:
        raise UnsafeModelError(f"the model file is damaged: its {name} have no characters")
    if issubclass(kind, TransformerEmbeddings):
        for key in ("tokenizer_data", "config_state_dict"):
            if not params.get(key):
                raise UnsafeModelError(f"the model file is damaged: its {name} have no {key}")
        own = inspect.signature(kind.__init__).parameters.values()
        known = _TRANSFORMER_PARAMETERS | {own_one.name for own_one in own if own_one.kind is not own_one.VAR_KEYWORD}
        # Flair writes these as None for an encoder that reads nothing but text.
        unknown = {key for key, value in params.items() if key not in known and value is not None}
        if unknown:
            raise UnsafeModelError(
                f"the model file's {name} have parameters that could ask for code: {', '.join(sorted(unknown))}"
            )
        check_tokenizer(params["tokenizer_data"])


def _leaves(value: Any) -> Iterator[Any]:
    """The values in nested dicts and lists: a model of several parts gives each its own attention."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value


def _allowed(name: str) -> bool:
    """Ours, the user's own, or one of Flair's that needs nothing but plain parameters."""
    kind = EMBEDDING_CLASSES.get(name)
    return kind is not None and (name in _FLAIR_CLASSES or not kind.__module__.startswith("flair."))


def _parts(embeddings: Embeddings[Any]) -> Iterator[Embeddings[Any]]:
    yield embeddings
    if isinstance(embeddings, StackedEmbeddings):
        for part in embeddings.embeddings:
            yield from _parts(part)
