"""A tagger as a folder of files that cannot hold code, on disk or on the Hugging Face hub.

config.json           everything but weights: classes, sizes, labels, the encoder's configuration
model.safetensors     the tagger's weights
backbone.safetensors  those of the image backbone, where they were asked for
tokenizer/            the tokenizer as transformers writes it (tokenizer_2/ for a second encoder, and so on)
README.md             the model card, for the hub
"""

import io
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import flair
import requests
import torch
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from flair_espvr.errors import ConfigurationError, EspvrError, UnsafeModelError
from flair_espvr.io.atomic import atomic_folder
from flair_espvr.models.files.checkpoint import BYTES, KIND, check_format, damage_explained, marked, to_plain
from flair_espvr.models.files.model_card import FACTS, ModelFacts, model_card
from flair_espvr.models.files.tokenizer_archive import pack_tokenizer, unpack_tokenizer

CONFIG = "config.json"
CARD = "README.md"
_WEIGHTS = {"state_dict": "model.safetensors", "backbone": "backbone.safetensors"}
"""The parts of a state that are weights, and their files."""

_TOKENIZER = "tokenizer"
"""Kind of the plain dict that stands for a tokenizer's folder."""

_TOKENIZER_FOLDER = re.compile(r"tokenizer(_\d{1,3})?", re.ASCII)
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_MAX_CONFIG_BYTES = 64 * 1024 * 1024


def write_pretrained(folder: str | Path, state: Mapping[str, Any]) -> None:
    """Write a tagger's folder, as a whole or not at all; an older export stays until then, and its card after.

    Args:
        folder: a new or empty folder, or one that holds an export and nothing else.
        state: as for `flair_espvr.models.files.checkpoint.write_checkpoint`.

    Raises:
        ConfigurationError: the folder holds other files; or the state has parts that JSON cannot say, or a backbone
            that nobody could have elsewhere.
        OSError: the folder cannot be written.
    """
    folder = Path(folder).resolve()
    _require_replaceable(folder)
    settings = marked(to_plain(_movable(state)))
    weights = {part: settings.pop(part) for part in _WEIGHTS if part in settings}
    tokenizers: list[io.BytesIO] = []
    settings = {**_to_json(settings, tokenizers), "weights": list(weights)}
    with atomic_folder(folder) as new:
        (new / CONFIG).write_text(json.dumps(settings, indent=1, ensure_ascii=False), encoding="utf-8")
        for part, tensors in weights.items():
            save_file(_separate(tensors), new / _WEIGHTS[part], metadata={"format": "pt"})
            shutil.copymode(new / CONFIG, new / _WEIGHTS[part])  # safetensors makes files for their owner alone
        for number, archive in enumerate(tokenizers, start=1):
            unpack_tokenizer(archive, new / _tokenizer_folder(number))
        if (folder / CARD).is_file():
            shutil.copy(folder / CARD, new / CARD)


def read_pretrained(name: str | Path, *, revision: str | None = None, **hub_arguments: Any) -> dict[str, Any]:
    """Read a tagger's folder without running code in it.

    Args:
        name: a folder that `write_pretrained` wrote, or `org/name` on the hub.
        revision: branch, tag or commit on the hub.
        hub_arguments: further ones of `huggingface_hub.snapshot_download`, e.g. `token`. The files are kept below
            Flair's cache, as those of Flair's own models are, unless `cache_dir` says otherwise.

    Returns:
        The state, still plain, as `flair_espvr.models.files.checkpoint.read_checkpoint` gives it.

    Raises:
        FileNotFoundError: there is no such folder, and the name is none of the hub.
        UnsafeModelError: the folder is incomplete, damaged, not ours, or asks for code.
        EspvrError: the hub cannot be reached, or does not have it; of a download that broke off nothing is read.
    """
    folder = Path(name)
    if not folder.is_dir():
        if not _HUB_NAME.fullmatch(str(name)):
            raise FileNotFoundError(f"{name}: no such folder, and not a name on the hub, which has the form org/name")
        folder = _downloaded(str(name), revision, hub_arguments)
    settings = _read_settings(folder / CONFIG)
    parts = settings.pop("weights", None)
    if not isinstance(parts, list) or not set(map(str, parts)) <= set(_WEIGHTS) or "state_dict" not in parts:
        raise UnsafeModelError(f"{folder / CONFIG}: is damaged: it does not say which weights there are")
    with damage_explained():
        state = _from_json(settings, folder)
    return {**state, **{part: _read_weights(folder / _WEIGHTS[part]) for part in parts}}


def push(
    state: Mapping[str, Any],
    repo: str,
    *,
    facts: ModelFacts | None,
    types: list[str],
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
) -> str:
    """Publish a tagger, with its model card, in one commit; return the commit's address.

    Args:
        state: as for `write_pretrained`.
        repo: `org/name`; made if it is not there.
        facts: for the model card; by default those that the state's own model card has.
        types: the entity types, for the model card.
        private: make a new repository private.
        revision: the branch to commit to.
        token: of the hub; by default the one that `huggingface-cli login` keeps. (`HF_ENDPOINT` in the environment
            names another hub.)

    Raises:
        ConfigurationError: there are no facts, or the state cannot be exported.
        EspvrError: the hub cannot be reached or refuses.
    """
    if facts is None:
        kept = (state.get("model_card") or {}).get(FACTS)
        if kept is None:
            raise ConfigurationError(
                "a published model says what it was trained on, how well it does and where it fails: pass facts="
                "ModelFacts(...)"
            )
        facts = ModelFacts.from_plain(kept)
    state = {**state, "model_card": {**(state.get("model_card") or {}), FACTS: facts.to_plain()}}
    card = model_card(facts, name=repo, types=types, reads_images="region_embeddings" in state)
    api = HfApi(token=token, library_name="flair-espvr")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        write_pretrained(folder, state)
        (folder / CARD).write_text(str(card), encoding="utf-8")
        try:
            api.create_repo(repo, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo,
                folder_path=folder,
                revision=revision,
                commit_message="Upload a flair-espvr tagger",
                delete_patterns=[*_WEIGHTS.values(), "tokenizer*/*"],  # what an older model had and this one has not
            )
        except (HfHubHTTPError, HFValidationError, requests.RequestException) as error:
            raise EspvrError(f"{repo}: not published, and the hub's copy is as it was ({error})") from error
    return str(commit.commit_url)


def _require_replaceable(folder: Path) -> None:
    """Refuse a folder with anything else in it, as it is replaced as a whole."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: is a file; a model is exported to a folder")
    ours = {CONFIG, CARD, *_WEIGHTS.values()}
    others = [path.name for path in folder.iterdir() if path.name not in ours and not _is_tokenizer(path)]
    if others or (any(folder.iterdir()) and not (folder / CONFIG).is_file()):
        named = ", ".join(sorted(others)[:3]) or "no exported model"
        raise ConfigurationError(
            f"{folder}: holds {named}, and exporting replaces the whole folder; give a folder of its own"
        )


def _is_tokenizer(path: Path) -> bool:
    return path.is_dir() and _TOKENIZER_FOLDER.fullmatch(path.name) is not None


def _tokenizer_folder(number: int) -> str:
    return "tokenizer" if number == 1 else f"tokenizer_{number}"


def _movable(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state without the paths of this machine.

    Raises:
        ConfigurationError: the backbone's weights are a file of this machine, and are not in the state.
    """
    regions = state.get("region_embeddings")
    if not regions:
        return dict(state)
    if "backbone" not in state and (regions.get("checkpoint") or not regions.get("pretrained", True)):
        raise ConfigurationError(
            "the image backbone's weights are not timm's own but this machine's, and nobody else could have them: "
            "export with include_backbone=True"
        )
    return {**state, "region_embeddings": {**regions, "store": None, "checkpoint": None}}


def _to_json(value: Any, tokenizers: list[io.BytesIO], where: str = "model") -> Any:
    """`value` with its tokenizers put into a list, and a mention of the folder that they go to in their place."""
    if isinstance(value, dict):
        if value.get(KIND) == BYTES and where.endswith(".tokenizer_data"):
            tokenizers.append(io.BytesIO(value["bytes"]))
            return {KIND: _TOKENIZER, "folder": _tokenizer_folder(len(tokenizers))}
        return {str(key): _to_json(item, tokenizers, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item, tokenizers, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, bytes | torch.Tensor):
        raise ConfigurationError(f"{where} is {type(value).__name__}, which JSON cannot say; use save() instead")
    return value


def _from_json(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        if value.get(KIND) == _TOKENIZER:
            name = str(value.get("folder"))
            if not _TOKENIZER_FOLDER.fullmatch(name):
                raise UnsafeModelError(f"{folder / CONFIG}: names {name!r:.60} as a tokenizer's folder")
            return {KIND: BYTES, "bytes": pack_tokenizer(folder / name).getvalue()}
        return {key: _from_json(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item, folder) for item in value]
    return value


def _separate(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous tensors on the CPU; those that share memory, as tied weights do, become copies."""
    separate: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        pointer = plain.untyped_storage().data_ptr()
        separate[name] = plain.clone() if pointer in seen or plain.nbytes < plain.untyped_storage().nbytes() else plain
        seen.add(pointer)
    return separate


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UnsafeModelError(f"{path}: is missing; this is no model that save_pretrained wrote, or not all of it")
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise UnsafeModelError(f"{path}: is larger than any model's settings")
    try:
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnsafeModelError(f"{path}: is damaged ({error})") from error
    check_format(settings, path)
    assert isinstance(settings, dict)
    return settings


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise UnsafeModelError(f"{path}: is missing; the model is incomplete")
    try:
        return dict(load_file(path))
    except Exception as error:  # the library's own kind of error, and torch's at sizes that cannot be
        raise UnsafeModelError(f"{path}: is damaged ({error})") from error


def _downloaded(name: str, revision: str | None, hub_arguments: dict[str, Any]) -> Path:
    arguments = {"cache_dir": Path(flair.cache_root) / "models" / name.partition("/")[2], **hub_arguments}
    patterns = [CONFIG, *_WEIGHTS.values(), "tokenizer*/*"]
    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=patterns, library_name="flair-espvr", **arguments)
        )
    except (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        requests.RequestException,
        OSError,
        ValueError,  # a file name that would lead out of the cache
    ) as error:
        raise EspvrError(f"{name}: not downloaded, and nothing of it was loaded ({error})") from error
