"""Finished runs are found by what they have kept, and only where that is sure, as they are by building recipes."""

import json
from pathlib import Path

import pytest
import yaml

from flair_espvr.evaluation.evaluate import Evaluation
from flair_espvr.evaluation.scores import Scores
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.runs.run_folder import RunFolder
from flair_espvr.training.tables.cell_runs import finished_runs
from flair_espvr.training.tables.table_file import Cell, TableFile, TableRow
from flair_espvr.training.tables.table_runs import cell_jobs


def finish(recipe: Path, runs: Path, *seeds: int) -> list[RunFolder]:
    """Leave behind what runs of a recipe keep."""
    loaded = load_recipe(recipe)
    folders = [RunFolder.of(runs, recipe.stem, loaded, seed) for seed in seeds]
    for folder in folders:
        folder.path.mkdir(parents=True)
        folder.recipe.write_text(loaded.to_yaml(), encoding="utf-8")
        folder.given.write_text(json.dumps(loaded.given()), encoding="utf-8")
        folder.write_evaluation(Evaluation([], [], Scores({}, 1, "lenient"), Scores({}, 1, "strict")))
    return folders


def table_of(*recipes: Path, seeds: tuple[int, ...] | None = None) -> TableFile:
    rows = tuple(TableRow(title=recipe.stem, cells={"here": Cell(recipe=recipe)}) for recipe in recipes)
    return TableFile(title="Tiny", groups=("here",), rows=rows, seeds=seeds)


def test_they_are_those_of_the_recipes(recipe_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        "extends: tiny.yaml\nmodel: {type: sequence_tagger, use_rnn: false}\nseeds: [7]\n", encoding="utf-8"
    )
    runs, table = tmp_path / "runs", table_of(recipe_path, other)
    assert finished_runs(table, runs) == ([], 3)
    folders = finish(recipe_path, runs, 2) + finish(other, runs, 7)
    found = finished_runs(table, runs)
    assert found is not None
    assert ([one.folder for one in found[0]], found[1]) == (folders, 1)
    jobs = [job for job in cell_jobs(table, runs) if job.is_done]
    assert sorted(map(str, found[0])) == sorted(map(str, jobs))
    assert {one.folder for one in found[0]} == {job.folder for job in jobs}


@pytest.mark.parametrize(
    ("section", "key", "value", "is_the_same"),
    [
        ("training", "max_epochs", 2, True),  # what it says anyway
        ("training", "learning_rate", "1e-3", False),
        ("training", "resume", False, True),  # decides no outcome
        ("training", "patience", 3, False),  # unknown: an error where recipes are built
        ("embeddings", "use_caption", True, True),  # a default, said
        ("model", "type", "umt", False),
        ("model", "dropout", 0.123, False),
    ],
)
def test_a_recipe_that_says_something_else_is_not_theirs(
    recipe_path: Path, tmp_path: Path, section: str, key: str, value: object, is_the_same: bool
) -> None:
    finish(recipe_path, tmp_path / "runs", 1)
    content = yaml.safe_load(recipe_path.read_text(encoding="utf-8"))
    content.setdefault(section, {})[key] = value
    recipe_path.write_text(yaml.safe_dump(content), encoding="utf-8")
    found = finished_runs(table_of(recipe_path, seeds=(1,)), tmp_path / "runs")
    assert (found is not None) == is_the_same
    assert found is None or len(found[0]) == 1


def test_a_recipe_that_says_less_is_not_theirs(recipe_path: Path, tmp_path: Path) -> None:
    (folder,) = finish(recipe_path, tmp_path / "runs", 1)
    content = yaml.safe_load(recipe_path.read_text(encoding="utf-8"))
    del content["training"]["max_epochs"]
    recipe_path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert finished_runs(table_of(recipe_path, seeds=(1,)), tmp_path / "runs") is None
    folder.given.unlink()  # as runs of earlier versions
    assert finished_runs(table_of(recipe_path, seeds=(1,)), tmp_path / "runs") is None
    recipe_path.write_text(
        yaml.safe_dump({**content, "seeds": 1}), encoding="utf-8"
    )  # an error where recipes are built
    assert finished_runs(table_of(recipe_path), tmp_path / "runs") is None
