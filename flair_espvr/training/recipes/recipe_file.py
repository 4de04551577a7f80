"""Recipes as YAML files: one may extend another, the command line may override parts, all mistakes come at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from flair_espvr.errors import ConfigurationError
from flair_espvr.training.recipes.content import overridden, read_extended
from flair_espvr.training.recipes.experiment import CorpusOnly
from flair_espvr.training.recipes.mistakes import validate
from flair_espvr.training.recipes.recipe import Recipe, recipe_class
from flair_espvr.training.recipes.sections import CorpusSection, TwitterCorpus


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
    return validate(recipe_class(), overridden(read_extended(Path(path)), overrides), source=str(path))


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
        whole = read_extended(path)
        content = whole.get("corpus") if isinstance(whole, dict) else None
    elif path.is_dir():
        content = {"folder": str(path)}
    elif path.is_file():
        content = {"folder": str(path.parent), "train_file": None, "dev_file": None, "test_file": path.name}
    else:
        raise ConfigurationError(
            f"{source}: expected twitter_2015, twitter_2017, a recipe, a folder of posts or a file of posts"
        )
    return validate(CorpusOnly, overridden({"corpus": content}, overrides), source=source).corpus
