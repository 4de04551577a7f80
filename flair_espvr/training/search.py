"""A grid search as one YAML file: every combination of some settings is a run, and the dev posts choose.

The paper's own search (4.1) is a plain grid; its points are independent, so that processes may share them. Several
grids, as scikit-learn's `ParameterGrid` has them, try one setting after the other at less cost than all combinations.
"""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from flair_espvr.training.recipes.content import read_content
from flair_espvr.training.recipes.mistakes import validate
from flair_espvr.training.recipes.recipe import Recipe
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.recipes.sections import Section
from flair_espvr.training.runs.run import run
from flair_espvr.training.runs.run_folder import RunFolder

_Grid = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]


class SearchFile(Section):
    """What is searched.

    Attributes:
        recipe: the file of the recipe whose settings are tried.
        grid: by setting, as `section.key`, the values to try; or several such grids over the same settings, tried one
            after the other, each point once.
        seed: of every run.
    """

    recipe: Path
    grid: Annotated[
        list[_Grid], Field(min_length=1), BeforeValidator(lambda grid: [grid] if isinstance(grid, dict) else grid)
    ]
    seed: int = 1

    @field_validator("grid")
    @classmethod
    def _over_the_same_settings(cls, grids: list[_Grid]) -> list[_Grid]:
        if odd := set().union(*grids) - set(grids[0]).intersection(*grids):
            raise ValueError(f"every grid has to give a value of {', '.join(sorted(odd))}, one at least")
        return grids


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
    """Every combination of each grid, once, with its place under the folder of all runs.

    Raises:
        ConfigurationError: a setting or a value is not one that the recipe may have.
    """
    found: dict[Path, Point] = {}
    for grid in search.grid:
        for values in itertools.product(*grid.values()):
            tried = dict(zip(grid, values, strict=True))
            settings = {name: tried[name] for name in search.grid[0]}  # all in the order of the first grid
            recipe = load_recipe(search.recipe, [f"{name}={json.dumps(value)}" for name, value in settings.items()])
            folder = RunFolder.of(runs, search.recipe.stem, recipe, search.seed)
            found.setdefault(folder.path, Point(settings, recipe, search.seed, folder))
    return list(found.values())


def ranking_to_markdown(found: list[Point]) -> str:
    """Return the points by dev score, the best first; those that are not done come last.

    A number of the best point beyond which none was tried is named below: the best may lie there.
    """
    names = list(found[0].settings)
    scored = [(point, point.dev_f1) for point in found]
    ranked = sorted(scored, key=lambda pair: -1.0 if pair[1] is None else pair[1], reverse=True)
    lines = [f"| {' | '.join(names)} | dev F1 |", "|" + "---|" * len(names) + "---:|"]
    for point, dev_f1 in ranked:
        score = "not done" if dev_f1 is None else f"{100 * dev_f1:.2f}"
        lines.append(f"| {' | '.join(str(value) for value in point.settings.values())} | {score} |")
    best, dev_f1 = ranked[0]
    edges = [] if dev_f1 is None else _edges(best, [point for point, score in scored if score is not None])
    return "\n".join([*lines, *([""] if edges else []), *edges]) + "\n"


def _edges(best: Point, done: list[Point]) -> list[str]:
    """Return a line for each number of the best point that is the smallest or the largest of those that were tried."""
    lines = []
    for name in best.settings:
        value, *tried = (_setting(point.recipe, name) for point in (best, *done))
        if all(type(number) in (int, float) for number in tried) and min(tried) < max(tried):
            lines += [
                f"The best point has the {extreme} {name} that was tried, {best.settings[name]}: try a {beyond} one."
                for extreme, beyond, edge in (("smallest", "smaller", min(tried)), ("largest", "larger", max(tried)))
                if value == edge
            ]
    return lines


def _setting(recipe: Recipe, name: str) -> Any:
    """Return the value that a recipe has by a setting's name, `section.key`."""
    value: Any = recipe.model_dump()
    for key in name.split("."):
        value = value[key]
    return value
