"""Results that are kept in the repository: docs/RESULTS.md has the tables that they make."""

from pathlib import Path

import pytest

from benchmarks.keep import KEPT
from benchmarks.picture_tables import damage_table, table
from benchmarks.results import all_results
from flair_espvr.training.tables.comparison import comparisons_to_markdown
from flair_espvr.training.tables.markdown import to_markdown
from flair_espvr.training.tables.table_file import load_table
from flair_espvr.training.tables.table_results import comparisons, results_table
from flair_espvr.training.tables.table_runs import cell_jobs

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lines() -> set[str]:
    return set((REPOSITORY / "docs" / "RESULTS.md").read_text(encoding="utf-8").splitlines())


def test_tables_of_photographs_are_those_of_the_runs(lines: set[str]) -> None:
    results = all_results(REPOSITORY / "benchmarks" / "kept" / "photographs.jsonl")
    assert results
    tables = [table(results), damage_table(results, "f1"), damage_table(results, "made_up")]
    rows = [row for markdown in tables for row in markdown.splitlines()]
    assert [row for row in rows if row not in lines] == []


@pytest.mark.parametrize("name", ["fair_text", "offline_base"])
def test_tables_of_text_are_those_of_the_runs(lines: set[str], name: str) -> None:
    table = load_table(REPOSITORY / "recipes" / "tables" / f"{name}.yaml")
    runs = [job for job in cell_jobs(table, KEPT) if job.is_done]
    figures = [row for row in to_markdown(results_table(table, runs)).splitlines() if "| ours, " in row]
    assert figures
    differences = comparisons_to_markdown(comparisons(table, runs)).splitlines()
    assert [row for row in figures + differences if row not in lines] == []
