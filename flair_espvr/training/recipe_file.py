"""Recipes as YAML files: one may extend another, the command line may override parts, all mistakes come at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from flair_espvr.errors import ConfigurationError
from flair_espvr.training.mistakes import describe
from flair_espvr.training.recipe import Recipe

EXTENDS = "extends"
"""The key by which a recipe names another that it starts from, relative to its own folder."""

Content = dict[str, Any]
Checked = TypeVar("Checked", bound=BaseModel)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe.

    A recipe that `extends` another takes over what that says and changes the keys that it names itself; a section that
    names another `type` starts afresh. Paths are relative to the file that names them.

    Args:
        path: the file.
        overrides: changes as `a.b=value`, the value in YAML and paths in it relative to the working directory.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no YAML, or does not fit; the message lists every mistake with its dotted path.
    """
    path = Path(path)
    content = _read_extended(path, ())
    for override in overrides:
        content = _merge(content, _override(override))
    return validate(Recipe, content, source=str(path))


def read_yaml(path: Path) -> Any:
    """What a YAML file says, plain values only.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no YAML, or gives a key twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not YAML: {error or type(error).__name__}") from error


def validate(kind: type[Checked], content: Any, *, source: str) -> Checked:
    """`content` as a `kind`.

    Args:
        kind: a model of sections.
        content: plain values.
        source: what the content is called in the error, usually its file.

    Raises:
        ConfigurationError: it does not fit; the message lists every mistake with its dotted path.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        mistakes = [describe(kind, detail) for detail in error.errors()]
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigurationError("\n  ".join([f"{source}: {count}:", *mistakes])) from None


def _read_extended(path: Path, seen: tuple[Path, ...]) -> Any:
    """A file's content over that of the recipes it extends; `seen` are the files that led here."""
    path = path.resolve()
    if path in seen:
        raise ConfigurationError(f"{path}: extends itself, by way of {', '.join(map(str, seen))}")
    content = _absolute(read_yaml(path), path.parent)
    if not isinstance(content, dict) or EXTENDS not in content:
        return content
    base = content.pop(EXTENDS)
    if not isinstance(base, str):
        raise ConfigurationError(f"{path}: extends: expected the path of a recipe, given {base!r:.60}")
    return _merge(_read_extended(Path(base), (*seen, path)), content)


def _merge(base: Any, changes: Any) -> Any:
    """`changes` over `base`, key by key; what is of another `type` replaces the whole section."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    if "type" in changes and changes["type"] != base.get("type"):
        return changes
    return {**base, **{key: _merge(base.get(key), value) for key, value in changes.items()}}


def _override(text: str) -> Content:
    """`a.b=value` as nested dicts."""
    place, equals, value = text.partition("=")
    keys = place.strip().split(".")
    if not equals or not all(keys):
        raise ConfigurationError(f"{text!r}: expected a change like training.max_epochs=3")
    try:
        content = _absolute({keys[-1]: yaml.safe_load(value)}, Path.cwd())
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{text!r}: the value is not YAML: {error}") from error
    for key in reversed(keys[:-1]):
        content = {key: content}
    return content


_PATH_KEYS = {"folder", "images", "captions", "store", EXTENDS}


def _absolute(content: Any, folder: Path) -> Any:
    """`content` with the paths in it made absolute: those under known keys, and text that begins with `./` or `../`.

    A model is a name or a path, so a path to one has to look like one.
    """
    if isinstance(content, list):
        return [_absolute(item, folder) for item in content]
    if not isinstance(content, dict):
        is_path = isinstance(content, str) and content.startswith(("./", "../"))
        return str((folder / content).resolve()) if is_path else content
    return {
        key: str((folder / value).resolve())
        if key in _PATH_KEYS and isinstance(value, str)
        else _absolute(value, folder)
        for key, value in content.items()
    }


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML's safe loader, which otherwise keeps the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = sorted({str(name) for name in names if names.count(name) > 1})
        if repeated:
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(repeated)}: given twice", node.start_mark)
        return super().construct_mapping(node, deep)
