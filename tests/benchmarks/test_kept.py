"""Results that are kept in the repository: docs/RESULTS.md has the tables that they make."""

from pathlib import Path

import pytest

from benchmarks.picture_tables import damage_table, table
from benchmarks.results import all_results

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
