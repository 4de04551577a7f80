"""The tokenizer inside a model file: an archive of which two files are read, and of the settings those that are known.

A "fast" tokenizer is whole in its `tokenizer.json`, which runs in Rust and opens no other file. All else that
transformers would read (vocabularies, code, templates, whatever a setting names) stays where it is.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import transformers
from transformers import PreTrainedTokenizerFast

from flair_espvr.errors import UnsafeModelError

MAX_BYTES = 512 * 1024 * 1024
"""Unpacked size beyond which a tokenizer is refused; the largest that are published have some 30 MiB."""

_TOKENIZER, _SETTINGS = "tokenizer.json", "tokenizer_config.json"

_KNOWN = {
    *("bos_token", "cls_token", "eos_token", "mask_token", "pad_token", "sep_token", "unk_token"),
    *("additional_special_tokens", "added_tokens_decoder", "split_special_tokens"),
    *("model_input_names", "model_max_length", "padding_side", "truncation_side", "pad_token_type_id"),
    *("add_prefix_space", "clean_up_tokenization_spaces", "do_lower_case", "strip_accents", "tokenize_chinese_chars"),
    *("keep_accents", "remove_space", "split_by_punct", "trim_offsets", "errors", "vocab_type"),
}
"""The settings that are read: special tokens, lengths, sides, and what the classes of tokenizers make of a text."""


def checked_tokenizer(archive: io.BytesIO) -> io.BytesIO:
    """Return the archive's tokenizer in a new one that asks for nothing else.

    Raises:
        UnsafeModelError: it holds no fast tokenizer, is damaged, or unpacks to more than `MAX_BYTES`.
    """
    checked = io.BytesIO()
    try:
        with zipfile.ZipFile(archive) as files, zipfile.ZipFile(checked, "w") as known:
            if sum(files.getinfo(name).file_size for name in (_TOKENIZER, _SETTINGS)) > MAX_BYTES:
                raise UnsafeModelError("the model file's tokenizer unpacks to more than 512 MiB; nothing was unpacked")
            settings = json.loads(files.read(_SETTINGS))
            kept = {key: value for key, value in settings.items() if key in _KNOWN}
            known.writestr(_TOKENIZER, files.read(_TOKENIZER))
            known.writestr(_SETTINGS, json.dumps({**kept, "tokenizer_class": _fast_class(settings)}))
    except UnsafeModelError:
        raise
    except Exception as error:  # zipfile and zlib raise as many kinds of error as there are kinds of damage
        raise UnsafeModelError(f"the model file's tokenizer is damaged ({error})") from error
    checked.seek(0)
    return checked


def _fast_class(settings: dict[str, Any]) -> str:
    """Return the class that settings name; transformers writes it without its ending, and looks everywhere."""
    name = f"{str(settings.get('tokenizer_class', 'PreTrainedTokenizer')).removesuffix('Fast')}Fast"
    kind = getattr(transformers, name, None) if name.endswith("TokenizerFast") else None
    if not isinstance(kind, type) or not issubclass(kind, PreTrainedTokenizerFast):
        raise UnsafeModelError(f"the model file asks for {name!r:.60} as its tokenizer, which is no fast tokenizer")
    return name


def pack_tokenizer(folder: Path) -> io.BytesIO:
    """Return the archive of a folder's tokenizer.

    Raises:
        UnsafeModelError: a file is missing, is no regular file, or is larger than `MAX_BYTES`.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        for path in (folder / _TOKENIZER, folder / _SETTINGS):
            if not path.is_file():  # a device or a pipe could be read for ever
                raise UnsafeModelError(f"{path}: should be a regular file, of the exported model's tokenizer")
            if path.stat().st_size > MAX_BYTES:
                raise UnsafeModelError(f"{path}: has more than 512 MiB, which no tokenizer needs")
            files.writestr(path.name, path.read_bytes())
    archive.seek(0)
    return archive


def unpack_tokenizer(archive: io.BytesIO, folder: Path) -> None:
    """Put a tokenizer's files into a new folder."""
    folder.mkdir()
    with zipfile.ZipFile(checked_tokenizer(archive)) as files:
        files.extractall(folder)
