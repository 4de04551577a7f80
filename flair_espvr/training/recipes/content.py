"""What recipes and tables say, as plain values: YAML files, one over the other, with changes from the command line."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.nested import unfolds_beyond
from flair_espvr.io.packaged import packaged_folder

EXTENDS = "extends"
"""The key by which a recipe names another that it starts from, relative to its own folder."""

_PATH_KEYS = {
    "folder",
    "images",
    "captions",
    "tags",
    "ocr",
    "knowledge",
    "objects",
    "gold_regions",
    "store",
    EXTENDS,
}


def find_packaged(path: Path) -> Path:
    """Return a file, or, where there is none of that name, the one in the package: `recipes/quickstart.yaml`."""
    packaged = packaged_folder("recipes").parent / path
    return packaged if packaged.is_file() and not path.exists() else path


def read_content(path: Path, *, path_keys: Collection[str]) -> Any:
    """Return what a YAML file says, plain values only, with the paths in it made absolute.

    Args:
        path: the file, or a name that `find_packaged` finds; paths in it are relative to its folder.
        path_keys: keys whose text is a path. Elsewhere, text is a path where it begins with `./` or `../`: a model is a
            name or a path, so a path to one has to look like one.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no YAML, or gives a key twice.
    """
    path = find_packaged(path)
    if path.exists() and not path.is_file():  # a device or a pipe could be read for ever
        raise ConfigurationError(f"{path}: is no file")
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_UniqueKeys)
        if unfolds_beyond(content, len(text)):
            raise yaml.YAMLError("its aliases unfold to more than the file")
        return _absolute(content, path.resolve().parent, path_keys)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or a path that cannot be one
        raise ConfigurationError(f"{path}: not YAML: {error or type(error).__name__}") from error


def read_extended(path: Path, seen: tuple[Path, ...] = ()) -> Any:
    """Return what a recipe's file says, over what the recipes say that it extends.

    Args:
        path: the file, or a name that `find_packaged` finds.
        seen: the files that led here.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no YAML, or extends itself.
    """
    path = find_packaged(path).resolve()
    if path in seen:
        raise ConfigurationError(f"{path}: extends itself, by way of {', '.join(map(str, seen))}")
    content = read_content(path, path_keys=_PATH_KEYS)
    if not isinstance(content, dict) or EXTENDS not in content:
        return content
    base = content.pop(EXTENDS)
    if not isinstance(base, str):
        raise ConfigurationError(f"{path}: extends: expected the path of a recipe, given {base!r:.60}")
    return _merge(read_extended(Path(base), (*seen, path)), content)


def _merge(base: Any, changes: Any) -> Any:
    """Return `changes` over `base`, key by key; what is of another `type` replaces the whole section."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    if "type" in changes and changes["type"] != base.get("type"):
        return changes
    return {**base, **{key: _merge(base.get(key), value) for key, value in changes.items()}}


def overridden(content: Any, overrides: Sequence[str]) -> Any:
    """Return plain values with changes as `a.b=value`.

    Raises:
        ConfigurationError: a change has another form.
    """
    for override in overrides:
        content = _merge(content, _override(override))
    return content


def _override(text: str) -> dict[str, Any]:
    """`a.b=value` as nested dicts."""
    place, equals, value = text.partition("=")
    keys = place.strip().split(".")
    if not equals or not all(keys):
        raise ConfigurationError(f"{text!r}: expected a change like training.max_epochs=3")
    try:
        content = _absolute({keys[-1]: yaml.safe_load(value)}, Path.cwd(), _PATH_KEYS)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or a path that cannot be one
        raise ConfigurationError(f"{text!r}: the value is not YAML: {error or type(error).__name__}") from error
    for key in reversed(keys[:-1]):
        content = {key: content}
    return content


def _absolute(content: Any, folder: Path, path_keys: Collection[str]) -> Any:
    if isinstance(content, list):
        return [_absolute(item, folder, path_keys) for item in content]
    if isinstance(content, dict):
        return {
            key: str((folder / value).resolve())
            if key in path_keys and isinstance(value, str)
            else _absolute(value, folder, path_keys)
            for key, value in content.items()
        }
    is_path = isinstance(content, str) and content.startswith(("./", "../"))
    return str((folder / content).resolve()) if is_path else content


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML's safe loader, which otherwise keeps the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = sorted({str(name) for name in names if names.count(name) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(repeated)}: given twice", node.start_mark)
        return super().construct_mapping(node, deep)
