"""A grid search as one YAML file: every combination of some settings is a run, and the dev posts choose.

The paper's own search (4.1) is a plain grid; its points are independent, so that processes may share them.
"""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from flair_espvr.training.recipes.content import read_content
from flair_espvr.training.recipes.mistakes import validate
from flair_espvr.training.recipes.recipe import Recipe
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.recipes.sections import Section
from flair_espvr.training.runs.run import run
from flair_espvr.training.runs.run_folder import RunFolder


class SearchFile(Section):
    """What is searched.

    Attributes:
        recipe: the file of the recipe whose settings are tried.
        grid: by setting, as `section.key`, the values to try.
        seed: of every run.
    """

    recipe: Path
    grid: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
    seed: int = 1


@dataclass(frozen=True)
class Point:
    """One combination.

    Attributes:
        settings: by setting, the value tried.
        recipe: the recipe with these settings.
        seed: of its run.
        folder: where its run is, or will be.
    """

    settings: dict[str, Any]
    recipe: Recipe
    seed: int
    folder: RunFolder

    @property
    def is_done(self) -> bool:
        """Whether it was run."""
        return self.folder.is_done()

    def make(self) -> None:
        """Run it; raise what `run` raises."""
        run(self.recipe, seed=self.seed, folder=self.folder, description=str(self))

    @property
    def dev_f1(self) -> float | None:
        """Its span-F1 on the dev posts, 0..1, in the epoch that was kept; None where the run is not done."""
        return float(self.folder.read_scores()["dev_f1"]) if self.is_done else None

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.settings.items())


def load_search(path: str | Path) -> SearchFile:
    """Read and check a search's file.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no YAML, or does not fit; the message lists every mistake.
    """
    return validate(SearchFile, read_content(Path(path), path_keys={"recipe"}), source=str(path))


def points(search: SearchFile, runs: Path) -> list[Point]:
    """Every combination of the grid, with its place under the folder of all runs.

    Raises:
        ConfigurationError: a setting or a value is not one that the recipe may have.
    """
    found = []
    for values in itertools.product(*search.grid.values()):
        settings = dict(zip(search.grid, values, strict=True))
        recipe = load_recipe(search.recipe, [f"{name}={json.dumps(value)}" for name, value in settings.items()])
        folder = RunFolder.of(runs, search.recipe.stem, recipe, search.seed)
        found.append(Point(settings, recipe, search.seed, folder))
    return found


def ranking_to_markdown(found: list[Point]) -> str:
    """Return the points by dev score, the best first; those that are not done come last."""
    names = list(found[0].settings)
    scored = [(point, point.dev_f1) for point in found]
    ranked = sorted(scored, key=lambda pair: -1.0 if pair[1] is None else pair[1], reverse=True)
    lines = [f"| {' | '.join(names)} | dev F1 |", "|" + "---|" * len(names) + "---:|"]
    for point, dev_f1 in ranked:
        score = "not done" if dev_f1 is None else f"{100 * dev_f1:.2f}"
        lines.append(f"| {' | '.join(str(value) for value in point.settings.values())} | {score} |")
    return "\n".join(lines) + "\n"
