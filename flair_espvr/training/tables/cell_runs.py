"""The runs behind a table, as far as they are finished: where each is, found without building any model."""

import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flair_espvr.training.recipes.content import read_extended
from flair_espvr.training.recipes.experiment import DEFAULT_SEEDS, NOT_OF_THE_EXPERIMENT, CorpusOnly, digest
from flair_espvr.training.recipes.mistakes import validate
from flair_espvr.training.recipes.sections import CorpusSection
from flair_espvr.training.runs.run_folder import TEST, RunFolder
from flair_espvr.training.tables.table_file import TableFile


@dataclass(frozen=True)
class CellRun:
    """One seed of one cell: where its run is, and which of its evaluations the cell shows."""

    row: str
    group: str
    seed: int
    folder: RunFolder
    evaluation: str = TEST

    def __str__(self) -> str:
        return f"{self.row}, {self.group}, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.folder.is_done() and self.folder.is_done(self.evaluation)


def evaluation_of(corpus: CorpusSection | None) -> str:
    """Return the name of the evaluation on another corpus, or of that on a recipe's own."""
    if corpus is None:
        return TEST
    return f"{corpus.type}-{digest(corpus.model_dump(mode='json', exclude_defaults=True))}"


def finished_runs(table: TableFile, runs: Path) -> tuple[list[CellRun], int] | None:
    """Return the finished runs of a table, and how many there are not, by what runs have kept of their recipes.

    To know defaults of models takes torch and seconds, `cell_runs` does it. A run has kept its recipe with all defaults
    and, apart, what was given: a recipe is the run's where it says nothing else than the former, and all of the latter.

    Args:
        table: what is shown.
        runs: the folder of all runs.

    Returns:
        None where that does not tell: there are finished runs of recipes of these names, and none says the same.

    Raises:
        FileNotFoundError: there is no recipe of a name in the table.
        ConfigurationError: a recipe is no YAML, or its corpus does not fit.
    """
    found: list[CellRun] = []
    missing = 0
    for row in table.rows:
        for group, cell in row.cells.items():
            if cell.recipe is None:
                continue
            content = read_extended(cell.recipe)
            if not isinstance(content, dict):
                return None
            evaluation = evaluation_of(None if cell.corpus is None else _corpus(cell.corpus))
            seeds = table.seeds or content.get("seeds", DEFAULT_SEEDS)
            if not isinstance(seeds, list | tuple):
                return None
            for seed in seeds:
                done = [folder for folder in _folders(runs, cell.recipe.stem, seed) if folder.is_done()]
                folder = next((folder for folder in done if _is_run_of(content, folder)), None)
                if folder is not None and folder.is_done(evaluation):
                    found.append(CellRun(row.title, group, seed, folder, evaluation))
                elif folder is None and done:
                    return None
                else:
                    missing += 1
    return found, missing


def _folders(runs: Path, name: str, seed: int) -> list[RunFolder]:
    return [RunFolder(path / f"seed-{seed}") for path in sorted(runs.glob(f"{glob.escape(name)}-*"))]


def _corpus(path: Path) -> CorpusSection:
    content = read_extended(path)
    corpus = content.get("corpus") if isinstance(content, dict) else None
    return validate(CorpusOnly, {"corpus": corpus}, source=str(path)).corpus


def _is_run_of(content: Mapping[str, Any], folder: RunFolder) -> bool:
    """Whether a recipe's content is surely that of the run: it says nothing else, and all that is no default."""
    try:
        given = json.loads(folder.given.read_text("utf-8"))
        resolved = yaml.safe_load(folder.recipe.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    experiment = _without(content, NOT_OF_THE_EXPERIMENT)
    return _covers(resolved, experiment) and _covers(experiment, given)


def _without(content: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return content without what is named: True takes a value out, a mapping values of a section."""
    return {
        key: _without(value, names[key]) if isinstance(value, dict) and isinstance(names.get(key), dict) else value
        for key, value in content.items()
        if names.get(key) is not True
    }


def _covers(whole: Any, part: Any) -> bool:
    """Whether `part` says nothing that `whole` does not say too."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and _covers(whole[key], value) for key, value in part.items())
    return whole == part or (isinstance(whole, str) != isinstance(part, str) and _number(whole) == _number(part))


def _number(value: Any) -> Any:
    """Return a value, as a number where it is text like `1e-4`, which YAML 1.1 reads as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
