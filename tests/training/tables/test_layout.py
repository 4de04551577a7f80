import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.errors import ConfigurationError
from flair_espvr.training.tables.layout import MISSING, Cell, Column, Row, Table

PERCENT = st.floats(0, 100)


def printed(table):
    return [(title, source, [cell.mean for cell in cells]) for title, source, cells in table.lines(table.columns)]


def test_ours_and_the_papers_figures_have_lines_of_their_own(table):
    none = MISSING
    assert printed(table) == [
        ("BERT+CRF", "ours, 1 to 3 seeds", ["91.00", none, "83.50", none, none, "70.00"]),
        ("", "paper", ["90.06", none, "83.71", none, none, "71.81"]),
        ("UMT", "paper", ["91.56", none, "85.31", none, none, none]),
        ("ESPVR", "ours, 2 seeds", ["91.00", none, "84.00", none, none, none]),
        ("ESPVR, all regions", "not run", [none] * 6),
    ]


def test_a_part_of_the_columns_speaks_for_itself(table):
    (_, _), (group, columns) = table.groups
    assert group == "Twitter-2015"
    assert [(line.title, line.source) for line in table.lines(columns)] == [
        ("BERT+CRF", "ours, 1 seed"),
        ("", "paper"),
        ("UMT", "not run"),
        ("ESPVR", "not run"),
        ("ESPVR, all regions", "not run"),
    ]


def test_the_best_of_ours_is_marked_whatever_the_paper_says(table):
    marked = [[cell.best for cell in line.cells] for line in table.lines(table.columns)]
    nothing = [False] * 6
    bert, espvr = [True, *[False] * 5], [True, False, True, *[False] * 3]
    # PER looks equal in print, so both are marked; a single system is not the best of anything.
    assert marked == [bert, nothing, nothing, espvr, nothing]


@given(systems=st.lists(st.lists(PERCENT, max_size=4), min_size=1, max_size=4))
def test_cells_are_the_statistics_of_numpy(systems):
    table = Table([Column("f1", "F1")], [Row(str(number), {"f1": seeds}) for number, seeds in enumerate(systems)])
    for seeds, line in zip(systems, table.lines(table.columns), strict=True):
        (cell,) = line.cells
        if not seeds:
            assert cell == Cell(MISSING)
            continue
        assert float(cell.mean) == pytest.approx(np.mean(seeds), abs=0.0051)
        if len(seeds) > 1:
            assert float(cell.deviation) == pytest.approx(np.std(seeds, ddof=1), abs=0.0051)
        else:
            assert cell.deviation == ""


def test_neighbouring_columns_of_one_group_stand_together():
    columns = [Column(key, key, group) for key, group in zip("abcd", ["x", "x", "", "y"], strict=True)]
    assert Table(columns, []).groups == [("x", columns[:2]), ("", columns[2:3]), ("y", columns[3:])]


def test_a_figure_without_a_column_is_refused():
    with pytest.raises(ConfigurationError, match="row 'BERT' has figures for F1, but the table's columns are f1"):
        Table([Column("f1", "F1")], [Row("BERT", {"F1": [80.0]})])
    with pytest.raises(ConfigurationError, match="figures for p"):
        Table([Column("f1", "F1")], [Row("BERT", reference={"p": 80.0})])


def test_columns_that_share_a_key_are_refused():
    with pytest.raises(ConfigurationError, match="share f1"):
        Table([Column("f1", "F1", "Twitter-2017"), Column("f1", "F1", "Twitter-2015")], [])
