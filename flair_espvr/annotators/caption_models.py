"""The pretrained models that can describe a picture: telling whether one can be run, loading it, and naming it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from flair_espvr.errors import ConfigurationError

FAMILIES = {
    "blip": "BLIP",
    "blip-2": "BLIP-2",
    "git": "GIT",
    "vision-encoder-decoder": "ViT-GPT2 and other pairs of an image encoder and a text decoder",
    "florence2": "Florence-2",
}
"""What `Captioner` runs: the `model_type` in a model's `config.json`, and the name the field knows it by."""


_UNLOADABLE = (OSError, ValueError, RuntimeError, SafetensorError)
"""What transformers raises about files that are missing, damaged or do not fit each other."""


def read_config(model: str | Path, revision: str | None) -> dict[str, Any]:
    """The content of a model's `config.json`; from the hub with the commit under `"_commit_hash"`.

    Raises:
        ConfigurationError: there is no such model.
    """
    try:
        config, _ = transformers.PretrainedConfig.get_config_dict(model, revision=revision)
        if not config:
            raise OSError(f"{model} has no config.json")
    except _UNLOADABLE as error:
        raise ConfigurationError(
            f"{model} is neither a folder that holds a model nor a model that can be had from the hub: {error}"
        ) from error
    return config


def supported_family(config: dict[str, Any], model: str | Path) -> str:
    """The model's key in `FAMILIES`.

    Raises:
        ConfigurationError: it is of another family, or would need code of its own.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        supported = ", ".join(f"{name} ({key})" for key, name in FAMILIES.items())
        raise ConfigurationError(
            f"{model} is of the family {family!r}; captions come from {supported}. "
            "For anything else implement flair_espvr.annotators.captioner.ImageCaptioner"
        )
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


def load_processors(model: str | Path, revision: str | None, config: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Processor (`None` where the family has none), image processor and tokenizer.

    Raises:
        ConfigurationError: one is missing, or needs code of its own.
    """
    arguments = {"revision": revision, "trust_remote_code": False}
    try:
        if config["model_type"] == "vision-encoder-decoder":
            image_processor = transformers.AutoImageProcessor.from_pretrained(model, **arguments)
            return None, image_processor, transformers.AutoTokenizer.from_pretrained(model, **arguments)
        processor = transformers.AutoProcessor.from_pretrained(model, **arguments)
    except _UNLOADABLE as error:
        raise ConfigurationError(f"the image processor and tokenizer of {model} cannot be loaded: {error}") from error
    if config["model_type"] == "blip-2" and None in (config.get("image_token_index"), processor.num_query_tokens):
        # Without these transformers would leave the picture out of the prompt, and say nothing.
        raise ConfigurationError(
            f"{model} was saved before BLIP-2 had image tokens (image_token_index in config.json, num_query_tokens in "
            "processor_config.json); take its present revision on the hub"
        )
    return processor, processor.image_processor, processor.tokenizer


def load_model(model: str | Path, revision: str | None, dtype: torch.dtype) -> Any:
    """The model, with all its weights, in evaluation mode on the CPU.

    Raises:
        ConfigurationError: files are missing or damaged, or weights are missing.
    """
    try:
        loaded, report = transformers.AutoModelForImageTextToText.from_pretrained(
            model, revision=revision, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
    except _UNLOADABLE as error:
        raise ConfigurationError(f"the weights of {model} cannot be loaded: {error}") from error
    # transformers fills what is missing with random numbers; an encoder's pooler alone takes no part in a caption.
    if missing := sorted(name for name in report["missing_keys"] if ".pooler." not in name):
        raise ConfigurationError(
            f"{model} lacks {len(missing)} of the weights that a captioner needs, {missing[0]} among them; "
            "take one that was trained to write captions"
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


def _blocks(file: Path, size: int = 1 << 20) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(size):
            yield block
