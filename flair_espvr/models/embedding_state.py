"""Embeddings inside a model file: which may be rebuilt from it, and what their parameters must look like.

Flair rebuilds embeddings by calling the class that the file names with the parameters that the file holds. Some of
those classes would unpickle a file, or let transformers fetch code, if the parameters said so; here they may not.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from flair.data import Dictionary
from flair.embeddings import Embeddings, StackedEmbeddings
from flair.embeddings.base import EMBEDDING_CLASSES, load_embeddings

from flair_espvr.errors import ConfigurationError, UnsafeModelError

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

_CODE_KEYS = {"auto_map", "trust_remote_code", "custom_pipelines"}
"""Keys by which Hugging Face libraries are told to fetch and run code."""

_KERNEL_KEYS = {"attn_implementation", "_attn_implementation"}
"""Keys by which transformers is told how to compute attention; a hub name there is code to fetch (`kernels`)."""

_TOKENIZER_SUFFIXES = {".json", ".txt", ".model", ".jinja"}
_MAX_TOKENIZER_BYTES = 512 * 1024 * 1024


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


def rebuild(params: dict[str, Any]) -> Embeddings[Any]:
    """The embeddings that a model file describes.

    Args:
        params: what `save_embeddings(use_state_dict=False)` gave, read back.

    Raises:
        UnsafeModelError: the parameters name a class that is not allowed, or ask it to load code.
    """
    _check(params)
    return load_embeddings(params)


def _check(value: Any) -> None:
    if isinstance(value, dict):
        if "__cls__" in value:
            _check_class(value)
        for key, item in value.items():
            if key in _CODE_KEYS and item:
                raise UnsafeModelError(f"the model file asks for code to be fetched and run ({key}); nothing was run")
            if key in _KERNEL_KEYS and "/" in str(item):
                raise UnsafeModelError(
                    f"the model file asks for a kernel to be fetched and run ({item}); nothing was run"
                )
            if key in _DICTIONARIES and not isinstance(item, Dictionary):
                raise UnsafeModelError(f"the model file names a file to unpickle ({key}={item!r}); nothing was run")
            _check(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)


def _check_class(params: dict[str, Any]) -> None:
    name = params["__cls__"]
    if not isinstance(name, str) or not _allowed(name):
        raise UnsafeModelError(
            f"the model file asks for embeddings of the kind {name!r}, which are not loaded from files"
        )
    if "Transformer" in name:
        for key in ("tokenizer_data", "config_state_dict"):
            if not params.get(key):
                raise UnsafeModelError(f"the model file is damaged: its {name} have no {key}")
        if params.get("feature_extractor_data"):
            raise UnsafeModelError(f"the model file's {name} bring a feature extractor, which text does not need")
        _check_tokenizer(params["tokenizer_data"])


def _check_tokenizer(archive: io.BytesIO) -> None:
    """A tokenizer archive may hold plain files of known kinds, side by side, that ask for no code."""
    try:
        with zipfile.ZipFile(archive) as files:
            entries = files.infolist()
            if sum(entry.file_size for entry in entries) > _MAX_TOKENIZER_BYTES:
                raise UnsafeModelError("the model file's tokenizer unpacks to more than 512 MiB")
            for entry in entries:
                suffix = entry.filename[entry.filename.rfind(".") :]
                if "/" in entry.filename or "\\" in entry.filename or suffix not in _TOKENIZER_SUFFIXES:
                    raise UnsafeModelError(
                        f"the model file's tokenizer holds {entry.filename!r}, which is no tokenizer file"
                    )
                if suffix == ".json" and entry.filename != "tokenizer.json":
                    _check(json.loads(files.read(entry)))
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise UnsafeModelError(f"the model file's tokenizer is damaged ({error})") from error
    archive.seek(0)


def _allowed(name: str) -> bool:
    """Ours, the user's own, or one of Flair's that needs nothing but plain parameters."""
    kind = EMBEDDING_CLASSES.get(name)
    return kind is not None and (name in _FLAIR_CLASSES or not kind.__module__.startswith("flair."))


def _parts(embeddings: Embeddings[Any]) -> Iterator[Embeddings[Any]]:
    yield embeddings
    if isinstance(embeddings, StackedEmbeddings):
        for part in embeddings.embeddings:
            yield from _parts(part)
