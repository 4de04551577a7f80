"""Embeddings inside a model file: which may be rebuilt from it, and what their parameters must look like.

Flair rebuilds embeddings by calling the class that the file names with the parameters that the file holds. Some of
those classes would unpickle a file, or let transformers fetch code, if the parameters said so; here they may not.
"""

import inspect
import json
from collections.abc import Iterator
from typing import Any

from flair.data import Dictionary
from flair.embeddings import Embeddings, StackedEmbeddings, TransformerEmbeddings
from flair.embeddings.base import EMBEDDING_CLASSES, load_embeddings
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.models.files.tokenizer_archive import checked_tokenizer

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

_ATTENTION = (None, "eager", "sdpa")
"""How attention may be computed: by torch itself. A hub name is code to fetch; so is `flash_attention_2` where the
package `kernels` is installed and `flash_attn` is not."""

_ENCODERS = {
    *("albert", "bert", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra"),
    *("ernie", "longformer", "megatron-bert", "mobilebert", "modernbert", "mpnet", "rembert", "roberta"),
    *("roberta-prelayernorm", "squeezebert", "xlm-roberta", "xlm-roberta-xl", "xlnet"),
}
"""Text encoders that are built from a file, by their `model_type`: transformers knows others that build, fetch or wrap
a second model, fetch a kernel, have no fast tokenizer, or fill tables in Python as large as a file says."""

_COMMON_SETTINGS = {"model_type", "_name_or_path", "attn_implementation", "output_hidden_states"}
"""What is read of any encoder's config besides the parameters of its type."""

_NOT_READ = {"self", "kwargs", "sinusoidal_pos_embds", "reference_compile"}
"""No parameters; and those that say how weights begin, in a Python loop, or that start a compiler."""

_MOST = {"num_hidden_layers": 1_000, "attention_window": 8_192}
"""Bounds of numbers that weights do not bound: ALBERT's layers share theirs, Longformer pads posts to whole windows."""

_LONGEST_PADDING = 8_192
"""Wordpieces to which every post may be padded; the context of ModernBERT."""

_LONGEST_TEMPLATE = 16
"""Parts of what a tokenizer makes from a post and its caption; published ones have up to six."""


def savable(embeddings: Embeddings[Any]) -> None:
    """Make sure, before any training, that a model file can hold these embeddings.

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
            config = part.model.config
            attention = getattr(config, "_attn_implementation", None)
            _require_supported({**config.to_dict(), "attn_implementation": attention})
            _require_usable(part)


def rebuild(params: dict[str, Any]) -> Embeddings[Any]:
    """Return the embeddings that a model file describes.

    Args:
        params: what `save_embeddings(use_state_dict=False)` gave, read back.

    Raises:
        UnsafeModelError: the parameters name a class that is not allowed, or ask it to load code.
        ConfigurationError: an encoder is not supported, or could not be used within bounds.
    """
    embeddings = load_embeddings(_checked(params))
    for part in _parts(embeddings):
        if isinstance(part, TransformerEmbeddings):
            _require_usable(part)
    return embeddings


def _checked(value: Any, key: str = "") -> Any:
    """Return a copy of parameters that are allowed; of encoders' configs and tokenizers, what is not is left out."""
    if isinstance(value, list | tuple):
        return type(value)(_checked(item) for item in value)
    if key in _DICTIONARIES and not isinstance(value, Dictionary):
        raise UnsafeModelError(f"the model file names a file to unpickle ({key}={value!r:.60}); nothing was run")
    if isinstance(value, dict):
        value = {name: _checked(item, name) for name, item in value.items()}
        if "__cls__" in value:
            _check_class(value)
    return value


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
        params["config_state_dict"] = _encoder_settings(params["config_state_dict"])
        params["tokenizer_data"] = checked_tokenizer(params["tokenizer_data"])


def _encoder_settings(settings: Any) -> dict[str, Any]:
    """Of an encoder's config, the parameters of its type alone: transformers obeys many more, and renames some.

    Raises:
        ConfigurationError: see `_require_supported`.
    """
    kind = _require_supported(settings)
    known = _COMMON_SETTINGS | set(inspect.signature(CONFIG_MAPPING[kind].__init__).parameters) - _NOT_READ
    return {key: value for key, value in settings.items() if key in known}


def _require_supported(settings: dict[str, Any]) -> str:
    """Return an encoder's type, if a model file may ask for an encoder of such a config.

    Raises:
        ConfigurationError: the type is not one of `_ENCODERS`, attention is to be computed by other code than torch's,
            or a number makes it take more memory than its weights explain.
    """
    kind = settings.get("model_type", "bert")
    if not isinstance(kind, str) or kind not in _ENCODERS:
        raise ConfigurationError(
            f"an encoder of the type {kind!r:.60} cannot be loaded from a model file; use one of "
            f"{', '.join(sorted(_ENCODERS))}"
        )
    attention = settings.get("attn_implementation")
    if attention not in _ATTENTION:
        raise ConfigurationError(
            f"attn_implementation={attention!r:.60}: a model file that asks for it could not be loaded without "
            "running fetched code; use 'sdpa', torch's own fused attention, or 'eager'"
        )
    for key in _MOST.keys() & settings.keys():
        numbers = settings[key] if isinstance(settings[key], list | tuple) else [settings[key]]
        if max(numbers) > _MOST[key]:
            raise ConfigurationError(f"an encoder with {key}={max(numbers)}: expected at most {_MOST[key]:,}")
    return kind


def _require_usable(encoder: TransformerEmbeddings) -> None:
    """Make sure that what an encoder and its tokenizer make of a post is bounded.

    Raises:
        ConfigurationError: it is not.
    """
    tokenizer, layers = encoder.tokenizer, encoder.model.config.num_hidden_layers + 1
    if not tokenizer.is_fast:
        raise ConfigurationError(
            f"{type(tokenizer).__name__} is no fast tokenizer, which a model file needs: others read files by any name"
        )
    if len(encoder.layer_indexes) > layers or not all(-layers <= index < layers for index in encoder.layer_indexes):
        raise ConfigurationError(f"layers={encoder.layer_indexes!r:.60}: the encoder has {layers}")
    if encoder.force_max_length and tokenizer.model_max_length > _LONGEST_PADDING:
        raise ConfigurationError(
            f"force_max_length with a tokenizer whose model_max_length is {tokenizer.model_max_length:,}: expected at "
            f"most {_LONGEST_PADDING:,}"
        )
    if any(len(template) > _LONGEST_TEMPLATE for template in _templates(tokenizer.backend_tokenizer.post_processor)):
        raise ConfigurationError(f"the tokenizer's template has more than {_LONGEST_TEMPLATE} parts")


def _templates(processor: Any) -> Iterator[list[Any]]:
    """Yield what a tokenizer puts together for a post, and for a post with its caption; each may be mentioned often."""
    state = {} if processor is None else json.loads(processor.__getstate__())
    for part in [state, *state.get("processors", [])]:
        yield from (part.get(kind) or [] for kind in ("single", "pair"))


def _allowed(name: str) -> bool:
    """Ours, the user's own, or one of Flair's that needs nothing but plain parameters."""
    kind = EMBEDDING_CLASSES.get(name)
    return kind is not None and (name in _FLAIR_CLASSES or not kind.__module__.startswith("flair."))


def _parts(embeddings: Embeddings[Any]) -> Iterator[Embeddings[Any]]:
    yield embeddings
    if isinstance(embeddings, StackedEmbeddings):
        for part in embeddings.embeddings:
            yield from _parts(part)
