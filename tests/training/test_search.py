"""Searches: which points there are, and which is said to be best."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.model_selection import ParameterGrid

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.packaged import packaged_folder
from flair_espvr.training.search import Point, load_search, points, ranking_to_markdown

RECIPE = packaged_folder("recipes") / "quickstart.yaml"


def written(folder: Path, grid: Any) -> Path:
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump({"recipe": str(RECIPE), "grid": grid}), encoding="utf-8")
    return path


def scored(monkeypatch: pytest.MonkeyPatch, dev_f1: Callable[[Any, int | str], float | None]) -> None:
    """Give each point a score by its learning rate and its other setting, as if it had been run."""

    def of(point: Point) -> float | None:
        other = next(value for name, value in point.settings.items() if name != "training.learning_rate")
        return dev_f1(point.settings["training.learning_rate"], other)

    monkeypatch.setattr(Point, "dev_f1", property(of))


@pytest.mark.parametrize(
    "grid",
    [
        {"training.learning_rate": [1e-4, 2e-4], "training.max_epochs": [1, 2, 3]},
        [
            {"training.learning_rate": [1e-4, 2e-4, 4e-4], "training.max_epochs": [2]},
            {"training.max_epochs": [1, 2, 3], "training.learning_rate": [2e-4]},
        ],
    ],
    ids=["one grid", "a cross"],
)
def test_points_are_those_of_scikit_learns_grid_each_once(grid: Any, tmp_path: Path) -> None:
    found = points(load_search(written(tmp_path, grid)), tmp_path)
    expected = {tuple(sorted(settings.items())) for settings in ParameterGrid(grid)}
    assert {tuple(sorted(point.settings.items())) for point in found} == expected
    assert len(found) == len(expected) == len({point.folder.path for point in found})
    assert len({tuple(point.settings) for point in found}) == 1, "all in the same order, which heads the ranking"


def test_grids_over_different_settings_are_refused_by_name(tmp_path: Path) -> None:
    grid = [{"training.learning_rate": [1e-4], "training.max_epochs": [2]}, {"training.max_epochs": [1]}]
    with pytest.raises(ConfigurationError, match=r"every grid has to give a value of training\.learning_rate"):
        load_search(written(tmp_path, grid))
    with pytest.raises(ConfigurationError, match="grid"):
        load_search(written(tmp_path, []))


def test_a_best_point_at_an_edge_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {"training.learning_rate": ["1e-4", "2e-4", "4e-4"], "training.max_epochs": [2, 4]}
    found = points(load_search(written(tmp_path, grid)), tmp_path)
    assert "tried" not in ranking_to_markdown(found), "nothing is done"
    scored(monkeypatch, lambda rate, epochs: 1 - abs(float(rate) - 2e-4) + epochs / 100)
    assert ranking_to_markdown(found).splitlines()[-1] == (
        "The best point has the largest training.max_epochs that was tried, 4: try a larger one."
    )
    scored(monkeypatch, lambda rate, _: None if rate == "1e-4" else 1 - float(rate))
    lines = ranking_to_markdown(found).splitlines()
    assert [line for line in lines if "tried" in line] == [
        "The best point has the smallest training.learning_rate that was tried, 2e-4: try a smaller one.",
        "The best point has the smallest training.max_epochs that was tried, 2: try a smaller one.",
    ], "a point that is not done was not tried"


def test_a_best_point_inside_and_what_is_no_number_have_no_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"training.learning_rate": [1e-4, 2e-4, 4e-4], "model.window_placement": ["paper", "centered"]}
    scored(monkeypatch, lambda rate, _: 1 - abs(rate - 2e-4))
    assert "tried" not in ranking_to_markdown(points(load_search(written(tmp_path, grid)), tmp_path))
