"""Weights of image backbones: read without running code, named as timm names them, told apart by a fingerprint."""

import pickle
import re
import sys
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import torch

from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.io.packaged import resolve_packaged

Weights = dict[str, torch.Tensor]

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Under these keys training programs keep the weights beside other things; averaged ones first, as timm does."""


def read_weights(path: str | Path) -> Weights:
    """Return the tensors of a `.safetensors` file or of a PyTorch file (`.pth`, `.pt`, `.bin`).

    Args:
        path: the file, or `package:NAME/PATH` (see `resolve_packaged`).

    Raises:
        ConfigurationError: there is no such file, or it holds no weights.
        UnsafeModelError: the file is damaged or wants to run code; nothing in it was run.
    """
    path = Path(resolve_packaged(str(path)))
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such checkpoint file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeModelError(
            f"{path}: is damaged or holds more than tensors, so it could run code; nothing in it was run. "
            "Ask for a .safetensors file"
        ) from error
    except Exception as error:  # both libraries raise a dozen kinds at damaged files
        raise UnsafeModelError(f"{path}: is damaged or is no checkpoint ({error})") from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not any(isinstance(value, torch.Tensor) for value in content.values()):
        raise ConfigurationError(f"{path}: holds no named weights")
    return {
        str(name).removeprefix("module."): value for name, value in content.items() if isinstance(value, torch.Tensor)
    }


def load_weights(model: torch.nn.Module, weights: Weights, *, source: str) -> None:
    """Put weights into a timm model built with `num_classes=0`; a classifier among them is left out.

    Names and shapes of other releases (DINOv2's own, Microsoft's Swin, efficientnet-pytorch) are brought to timm's, and
    position embeddings to the model's image size, as timm itself does.

    Args:
        model: changed in place.
        weights: name -> tensor.
        source: how messages name the weights.

    Raises:
        ConfigurationError: the weights are of another model.
    """
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        if "_conv_stem.weight" in weights:
            weights = timm_efficientnet_names(weights, [len(stage) for stage in cast(Any, model).blocks])
        if translate is not None:
            weights = translate(dict(weights), model)
        known = model.state_dict()
        missing, _ = model.load_state_dict({name: weights[name] for name in weights if name in known}, strict=False)
    except (RuntimeError, LookupError, AttributeError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{source}: does not fit a {type(model).__name__} of this size ({error})") from error
    if missing:
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ConfigurationError(
            f"{source}: lacks {len(missing)} of {len(known)} weights of a {type(model).__name__} of this size ({named})"
        )


def fingerprint(model: torch.nn.Module) -> str:
    """32 hexadecimal digits that change with any weight of the model, whatever device it is on.

    Batch normalisation's count of training batches is left out: it has no say in the features.
    """
    digest = blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def timm_efficientnet_names(weights: Weights, stage_lengths: list[int]) -> Weights:
    """Weights named as in the `efficientnet-pytorch` family of packages, under timm's names.

    There all blocks are numbered in one row and every layer begins with an underscore; timm numbers blocks within
    stages, and counts its 1x1 convolutions and normalisations from the block's first layer, which is the expansion
    in all blocks but those of the first stage.

    Args:
        weights: name -> tensor.
        stage_lengths: number of blocks of each stage of the timm model.

    Raises:
        KeyError, IndexError: the weights have a layer or a block that the timm model lacks.
    """
    places = [f"{stage}.{block}" for stage, length in enumerate(stage_lengths) for block in range(length)]
    ends = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    expanded = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    expanded |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    squeeze = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}

    def renamed(name: str) -> str:
        in_block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if in_block is None:
            layer, _, parameter = name.partition(".")
            return f"{ends[layer]}.{parameter}"
        number, layer, parameter = in_block.groups()
        layers = squeeze | (expanded if f"_blocks.{number}._expand_conv.weight" in weights else plain)
        return f"blocks.{places[int(number)]}.{layers[layer]}.{parameter}"

    return {renamed(name): tensor for name, tensor in weights.items()}
