"""Recipes as YAML files: one may extend another, the command line may override parts, all mistakes come at once."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.nested import unfolds_beyond
from flair_espvr.io.packaged import packaged_folder
from flair_espvr.training.recipes.mistakes import describe
from flair_espvr.training.recipes.recipe import CorpusOnly, Recipe, recipe_class
from flair_espvr.training.recipes.sections import CorpusSection, TwitterCorpus

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

Content = dict[str, Any]
Checked = TypeVar("Checked", bound=BaseModel)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    A recipe that `extends` another takes over what that says and changes the keys that it names itself; a section that
    names another `type` starts afresh. Paths are relative to the file that names them.

    Args:
        path: the file.
        overrides: changes as `a.b=value`, the value in YAML and paths in it relative to the working directory.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no YAML, or does not fit; the message lists every mistake with its dotted path.
    """
    return validate(recipe_class(), _overridden(_read_extended(Path(path), ()), overrides), source=str(path))


def load_corpus_section(source: str, overrides: Sequence[str] = ()) -> CorpusSection:
    """Return what corpus a short description means.

    Args:
        source: `twitter_2015`, `twitter_2017`, a recipe (its corpus), a folder of posts, or one file of posts, which is
            then the test split.
        overrides: changes as `corpus.images=FOLDER`.

    Raises:
        ConfigurationError: it is none of these, or a change does not fit.
    """
    path = Path(source)
    content: Any
    if source in get_args(TwitterCorpus.model_fields["type"].annotation):
        content = {"type": source}
    elif path.suffix in (".yaml", ".yml"):
        whole = _read_extended(path, ())
        content = whole.get("corpus") if isinstance(whole, dict) else None
    elif path.is_dir():
        content = {"folder": str(path)}
    elif path.is_file():
        content = {"folder": str(path.parent), "train_file": None, "dev_file": None, "test_file": path.name}
    else:
        raise ConfigurationError(
            f"{source}: expected twitter_2015, twitter_2017, a recipe, a folder of posts or a file of posts"
        )
    return validate(CorpusOnly, _overridden({"corpus": content}, overrides), source=source).corpus


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
        # A list is also called too short where its items are wrong; those are reported already.
        details = [detail for detail in error.errors() if detail["type"] != "too_short" or not detail["input"]]
        mistakes = [describe(kind, detail) for detail in details]
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigurationError("\n  ".join([f"{source}: {count}:", *mistakes])) from None


def _read_extended(path: Path, seen: tuple[Path, ...]) -> Any:
    """Return a file's content over that of the recipes it extends; `seen` are the files that led here."""
    path = find_packaged(path).resolve()
    if path in seen:
        raise ConfigurationError(f"{path}: extends itself, by way of {', '.join(map(str, seen))}")
    content = read_content(path, path_keys=_PATH_KEYS)
    if not isinstance(content, dict) or EXTENDS not in content:
        return content
    base = content.pop(EXTENDS)
    if not isinstance(base, str):
        raise ConfigurationError(f"{path}: extends: expected the path of a recipe, given {base!r:.60}")
    return _merge(_read_extended(Path(base), (*seen, path)), content)


def _merge(base: Any, changes: Any) -> Any:
    """Return `changes` over `base`, key by key; what is of another `type` replaces the whole section."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    if "type" in changes and changes["type"] != base.get("type"):
        return changes
    return {**base, **{key: _merge(base.get(key), value) for key, value in changes.items()}}


def _overridden(content: Any, overrides: Sequence[str]) -> Any:
    for override in overrides:
        content = _merge(content, _override(override))
    return content


def _override(text: str) -> Content:
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
