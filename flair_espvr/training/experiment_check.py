"""What is wrong with a recipe, a table or a search, and with what it names, found before anything is trained."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from transformers import AutoConfig

from flair_espvr.embeddings import ImageRegionEmbeddings
from flair_espvr.embeddings.image.backbone import require_weights
from flair_espvr.errors import ConfigurationError, EspvrError
from flair_espvr.io.packaged import resolve_packaged
from flair_espvr.io.pretrained import find_model
from flair_espvr.training.build import build_corpus, require_inputs
from flair_espvr.training.oddities import warn_about
from flair_espvr.training.recipes.content import read_content
from flair_espvr.training.recipes.recipe import Recipe
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.recipes.sections import (
    CaptionedTransformer,
    EmbeddingsSection,
    Regions,
    Stack,
    Transformer,
    TwitterCorpus,
    Words,
)
from flair_espvr.training.search import load_search, points
from flair_espvr.training.tables.table_file import load_table


def check_experiment(path: Path, overrides: Sequence[str] = ()) -> list[str]:
    """Look for mistakes in a file and in the recipes that it names, and open what they name.

    Posts, captions and a picture are read, encoders and backbones found, sizes tried; nothing is fetched.

    Args:
        path: a recipe, a table or a search, told by its keys.
        overrides: changes of a recipe as `a.b=value`.

    Returns:
        A message for each file that is wrong, with all its mistakes, or for each thing that is not there; none where
        all is well.
    """
    try:
        recipes = _named_recipes(path)
        if overrides and recipes is not None:
            raise ConfigurationError(f"{path}: --set changes recipes, and this is a table or a search")
        if recipes is None:
            return [f"{path}: {problem}" for problem in _unopened(load_recipe(path, overrides))]
    except (EspvrError, OSError) as error:
        return [str(error)]
    return [message for recipe in recipes for message in check_experiment(recipe)]


def _unopened(recipe: Recipe) -> Iterator[str]:
    """Yield what of all that a recipe names cannot be opened, and why."""
    steps: dict[str, Callable[[], None]] = {
        "corpus": lambda: _open_corpus(recipe),
        "embeddings": lambda: _open_embeddings(recipe.embeddings),
        "regions": lambda: _open_regions(recipe.regions),
    }
    for section, step in steps.items():
        try:
            step()
        except (EspvrError, OSError, ValueError) as error:
            yield f"{section}: {error}"


def _open_corpus(recipe: Recipe) -> None:
    section = recipe.corpus
    if isinstance(section, TwitterCorpus) and section.folder is None:
        return  # fetched when it is first used
    corpus = build_corpus(section)
    require_inputs(recipe, corpus)
    warn_about(recipe, corpus)


def _open_embeddings(section: EmbeddingsSection) -> None:
    match section:
        case CaptionedTransformer() | Transformer():
            found = find_model(section.model)
            if Path(found).exists():
                AutoConfig.from_pretrained(found)
        case Words():
            resolve_packaged(section.vectors)
        case Stack():
            for part in section.parts:
                _open_embeddings(part)


def _open_regions(section: Regions | None) -> None:
    if section is None:
        return
    plain = section.model_dump(exclude={"store"})
    _ = ImageRegionEmbeddings(**plain, pretrained=False).header  # builds the backbone: name, size and checkpoint fit
    if section.checkpoint is None:
        require_weights(section.model)


def _named_recipes(path: Path) -> list[Path] | None:
    """Return the recipes that a table or a search names, each once; None for a recipe.

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
