"""What is wrong with a recipe, a table or a search, found before anything is trained."""

from collections.abc import Sequence
from pathlib import Path

from flair_espvr.errors import ConfigurationError, EspvrError
from flair_espvr.training.recipes.recipe_file import load_recipe, read_content
from flair_espvr.training.search import load_search, points
from flair_espvr.training.tables.table_file import load_table


def check_experiment(path: Path, overrides: Sequence[str] = ()) -> list[str]:
    """Look for mistakes in a file and in the recipes that it names.

    Args:
        path: a recipe, a table or a search, told by its keys.
        overrides: changes of a recipe as `a.b=value`.

    Returns:
        A message for each file that is wrong, with all its mistakes; none where all is well.
    """
    try:
        recipes = _named_recipes(path)
        if overrides and recipes is not None:
            raise ConfigurationError(f"{path}: --set changes recipes, and this is a table or a search")
        if recipes is None:
            load_recipe(path, overrides)
    except (EspvrError, OSError) as error:
        return [str(error)]
    return [message for recipe in recipes or () for message in check_experiment(recipe)]


def _named_recipes(path: Path) -> list[Path] | None:
    """The recipes that a table or a search names, each once; None for a recipe.

    Raises:
        ConfigurationError: the table or search is wrong.
    """
    content = read_content(path, path_keys=())
    keys = content.keys() if isinstance(content, dict) else ()
    if "grid" in keys:
        search = load_search(path)
        points(search, Path())
        return [search.recipe]
    if "rows" in keys:
        cells = [cell for row in load_table(path).rows for cell in row.cells.values()]
        named = [recipe for cell in cells for recipe in (cell.recipe, cell.corpus) if recipe is not None]
        return list(dict.fromkeys(named))
    return None
