"""Which columns a table has, and what it prints where there is nothing."""

from pathlib import Path

import pytest
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from flair_espvr.data.bio import EntitySpan
from flair_espvr.data.region import Region
from flair_espvr.evaluation.evaluate import Evaluation
from flair_espvr.evaluation.grounding import GoldEntity, GroundedEntity, score_grounding
from flair_espvr.evaluation.scores import Score, Scores, score_tags
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.runs.run_folder import RunFolder
from flair_espvr.training.tables.cell_runs import CellRun
from flair_espvr.training.tables.layout import MISSING
from flair_espvr.training.tables.markdown import to_markdown
from flair_espvr.training.tables.table_file import Cell, TableFile, TableRow
from flair_espvr.training.tables.table_results import comparisons, results_table

TYPES = {"TOTAL": Score(4, 4, 3), "PER": Score(2, 1, 0), "DATE": Score(0, 2, 0)}


def finished(folder: Path, recipe_path: Path, row: str, *seeds: dict[str, Score]) -> list[CellRun]:
    """Runs of a row whose scores are these counts by type."""
    runs = []
    for seed, types in enumerate(seeds, start=1):
        recipe = load_recipe(recipe_path)
        run_folder = RunFolder.of(folder, row, recipe, seed)
        run_folder.path.mkdir(parents=True)
        scores = Scores(types, 4, "lenient")
        run_folder.write_evaluation(Evaluation([], [], scores, scores))
        runs.append(CellRun(row, "here", seed, run_folder))
    return runs


def table_of(recipe_path: Path, **arguments: object) -> TableFile:
    cell = Cell(recipe=recipe_path, paper={"F1": 50.0, "PER": 40.0})
    rows = tuple(TableRow(title=title, cells={"here": cell}) for title in ("one", "two"))
    return TableFile(title="Receipts", groups=("here",), rows=rows, **arguments)  # type: ignore[arg-type]


def test_types_are_those_of_the_runs_and_of_the_paper(recipe_path: Path, tmp_path: Path) -> None:
    runs = finished(tmp_path, recipe_path, "one", TYPES, {**TYPES, "DATE": Score(0, 0, 0)})
    runs += finished(tmp_path, recipe_path, "two", {"TOTAL": Score(4, 0, 0), "PER": Score(2, 2, 0)})
    table = results_table(table_of(recipe_path), runs)
    assert [column.title for column in table.columns] == ["PER F1", "DATE F1", "TOTAL F1", "P", "R", "F1"]
    one, _, two, _ = to_markdown(table).strip().splitlines()[-4:]
    # Nobody found a PER, so nobody is best at it; the second system has no DATE and predicts none.
    assert one.startswith("| one | ours, 2 seeds | 0.00 ± 0.00 | 0.00 ± 0.00 | **75.00** ± 0.00 |")
    assert two.startswith(f"| two | ours, 1 seed | 0.00 | {MISSING} | 0.00 |")


def test_the_strict_reading_has_a_column_where_asked_for(recipe_path: Path, tmp_path: Path) -> None:
    (run,) = finished(tmp_path, recipe_path, "one", TYPES)
    gold, predicted = [["B-PER", "O", "I-LOC"]], [["B-PER", "O", "B-LOC"]]
    lenient, strict = score_tags(gold, predicted), score_tags(gold, predicted, reading="strict")
    run.folder.write_evaluation(Evaluation([], [], lenient, strict))
    assert "here.strict F1" not in results_table(table_of(recipe_path), [run]).rows[0].values
    table = results_table(table_of(recipe_path, strict=True), [run])
    assert [column.title for column in table.columns] == ["PER F1", "LOC F1", "P", "R", "F1", "strict F1"]
    values = table.rows[0].values
    assert values["here.F1"] == pytest.approx([100 * f1_score(gold, predicted)])
    assert values["here.strict F1"] == pytest.approx([100 * f1_score(gold, predicted, mode="strict", scheme=IOB2)])
    assert "here.strict F1" not in table.rows[1].values


def test_scores_of_places_are_kept_and_shown_where_asked_for(recipe_path: Path, tmp_path: Path) -> None:
    shown = Region(0.0, 0.0, 0.5, 0.5)
    gold = [[GoldEntity(0, 2, "PER", (shown,)), GoldEntity(3, 4, "LOC", ())], [GoldEntity(0, 1, "ORG", (shown,))]]
    found = [[GroundedEntity(0, 2, "PER", shown, 0.9), GroundedEntity(3, 4, "PER", None, 0.2)], []]
    grounding = score_grounding(gold, found)
    (run,) = finished(tmp_path, recipe_path, "one", TYPES)
    scores = Scores(TYPES, 4, "lenient")
    run.folder.write_evaluation(Evaluation([], [], scores, scores, {"lenient": grounding}))
    assert run.folder.read_scores()["grounding"] == {"lenient": grounding}

    columns = ("EEG", "GMNER", "IoU > .5", "presence AP")
    table = results_table(table_of(recipe_path, types=("PER",), grounding=columns), [run])
    assert [column.title for column in table.columns] == ["PER F1", "P", "R", "F1", *columns]
    assert table.rows[0].values["here.EEG"] == [pytest.approx(80.0)]
    assert table.rows[0].values["here.GMNER"] == [pytest.approx(40.0)]
    assert table.rows[0].values["here.presence AP"] == [pytest.approx(100.0)]
    assert "here.EEG" not in table.rows[1].values


def test_differences_are_tested_without_the_posts(recipe_path: Path, tmp_path: Path) -> None:
    gold = [[EntitySpan(0, 1, "PER"), EntitySpan(2, 3, "LOC")], [EntitySpan(0, 2, "ORG")], []]
    answers = {"one": [gold[0], gold[1], []], "two": [gold[0][:1], [], [EntitySpan(0, 1, "PER")]]}
    table, runs = table_of(recipe_path, compare=(("one", "two"),)), []
    for title, predicted in answers.items():
        (run,) = finished(tmp_path, recipe_path, title, TYPES)
        scores = Scores(TYPES, 4, "lenient")
        run.folder.write_evaluation(Evaluation(gold, predicted, scores, scores))
        runs.append(run)
    (found,) = comparisons(table, runs)
    assert found.difference == pytest.approx(100 * (6 / 6 - 2 / 5))
    for run in runs:
        run.folder.predictions().rename(run.folder.path / "elsewhere")
    assert comparisons(table, runs) == [found]
    for run in runs:  # as in runs of earlier versions
        (run.folder.path / "elsewhere").rename(run.folder.predictions())
        run.folder.counts().unlink()
    assert comparisons(table, runs) == [found]


def test_runs_without_gold_regions_have_none(recipe_path: Path, tmp_path: Path) -> None:
    (run,) = finished(tmp_path, recipe_path, "one", TYPES)
    assert run.folder.read_scores()["grounding"] == {}
    table = results_table(table_of(recipe_path, types=("PER",), grounding=("EEG",)), [run])
    assert "here.EEG" not in table.rows[0].values


def test_types_may_be_chosen(recipe_path: Path, tmp_path: Path) -> None:
    runs = finished(tmp_path, recipe_path, "one", TYPES)
    table = results_table(table_of(recipe_path, types=("PER", "LOC")), runs)
    assert [column.title for column in table.columns] == ["PER F1", "LOC F1", "P", "R", "F1"]
    assert f"| 0.00 | {MISSING} | 42.86 |" in to_markdown(table)
    with pytest.raises(ValueError, match="'PER' is none of LOC, P, R, F1"):
        table_of(recipe_path, types=("LOC",))
