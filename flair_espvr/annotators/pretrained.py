"""Pretrained models of transformers: telling whether one can be run, loading it without its own code, and naming it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from flair_espvr.errors import ConfigurationError

UNLOADABLE = (OSError, ValueError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises about files that are missing, damaged or do not fit each other, or libraries it lacks."""


def read_config(model: str | Path, revision: str | None) -> dict[str, Any]:
    """Return the content of a model's `config.json`; from the hub with the commit under `"_commit_hash"`.

    Raises:
        ConfigurationError: there is no such model.
    """
    try:
        config, _ = transformers.PretrainedConfig.get_config_dict(model, revision=revision)
        if not config:
            raise OSError(f"{model} has no config.json")
    except UNLOADABLE as error:
        raise ConfigurationError(
            f"{model} is neither a folder that holds a model nor a model that can be had from the hub: {error}"
        ) from error
    return config


def supported_family(config: Mapping[str, Any], model: str | Path, families: Mapping[str, str], remedy: str) -> str:
    """Return the model's key in `families`: the `model_type` of its configuration.

    Args:
        config: the model's `config.json`.
        model: what messages call it.
        families: those that can be run, and the names the field knows them by.
        remedy: what to do where it is of none, after the list of those.

    Raises:
        ConfigurationError: it is of another family, or would need code of its own.
    """
    family = config.get("model_type")
    if family not in families:
        supported = ", ".join(f"{name} ({key})" for key, name in families.items())
        raise ConfigurationError(f"{model} is of the family {family!r}; supported are {supported}. {remedy}")
    if family == "florence2" and "auto_map" in config:
        raise ConfigurationError(
            f"{model} needs code of its own, which is never run; "
            "take the same weights in the format of transformers, such as florence-community/Florence-2-base"
        )
    return str(family)


def fitting_dtype(device: torch.device) -> torch.dtype:
    """Half precision on an accelerator, bfloat16 where it has that, as BLIP-2's T5 overflows in float16."""
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float16


def load_processor(kind: Any, model: str | Path, revision: str | None) -> Any:
    """Return what turns pictures and texts into a model's input.

    Args:
        kind: a class with `from_pretrained`, `transformers.AutoProcessor` for instance.
        model: name on the hub, or a folder.
        revision: branch, tag or commit on the hub.

    Raises:
        ConfigurationError: a file is missing, or needs code of its own.
    """
    try:
        return kind.from_pretrained(model, revision=revision, trust_remote_code=False)
    except UNLOADABLE as error:
        raise ConfigurationError(f"the image processor and tokenizer of {model} cannot be loaded: {error}") from error


def load_model(
    kind: Any,
    model: str | Path,
    revision: str | None,
    dtype: torch.dtype,
    *,
    purpose: str,
    may_lack: Callable[[str], bool] = lambda name: False,
) -> Any:
    """Return the model, with all its weights, in evaluation mode on the CPU.

    Args:
        kind: a class with `from_pretrained`, `transformers.AutoModelForObjectDetection` for instance.
        model: name on the hub, or a folder.
        revision: branch, tag or commit on the hub.
        dtype: precision of the weights.
        purpose: what a model needs all its weights for, for messages: "write captions".
        may_lack: whether the weight of this name takes no part in that.

    Raises:
        ConfigurationError: files are missing or damaged, or weights are missing.
    """
    try:
        loaded, report = kind.from_pretrained(
            model, revision=revision, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
    except UNLOADABLE as error:
        raise ConfigurationError(f"the weights of {model} cannot be loaded: {error}") from error
    # transformers fills what is missing with random numbers.
    if missing := sorted(name for name in report["missing_keys"] if not may_lack(name)):
        raise ConfigurationError(
            f"{model} lacks {len(missing)} of the weights that it takes to {purpose}, {missing[0]} among them; "
            f"take one that was trained to {purpose}"
        )
    return loaded.eval()


def model_identity(model: str | Path, revision: str | None) -> tuple[str, str | None]:
    """Name and revision that tell this model from every other, whichever machine it lies on.

    For a folder: its own name, not the path to it, and a hash of the files in it that a model consists of.
    """
    folder = Path(model)
    if not folder.is_dir():
        return str(model), revision
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt", ".model", ".safetensors", ".bin"):
            digest.update(file.name.encode())
            for block in _blocks(file):
                digest.update(block)
    return folder.resolve().name, f"sha256:{digest.hexdigest()[:16]}"


def versions() -> dict[str, str]:
    """Return the versions of the libraries that compute, for the settings of a file."""
    return {"transformers": transformers.__version__, "torch": torch.__version__}


def _blocks(file: Path, size: int = 1 << 20) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(size):
            yield block
