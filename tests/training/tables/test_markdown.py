import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.training.tables.layout import Column, Row, Table
from flair_espvr.training.tables.markdown import to_markdown


def cells(line):
    """The cells of a row, as GitHub's specification of tables reads them: split at bars without a backslash."""
    assert line.startswith("| ")
    assert line.endswith(" |")
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line[1:-1])]


def plain(text):
    """A cell's text, once its backslashes are taken as CommonMark takes them."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


def test_each_group_is_a_table_under_its_name(table):
    blocks = to_markdown(table).rstrip("\n").split("\n\n")
    assert blocks[0] == "**Table 1**"
    assert blocks[2] == "**Twitter-2017**"
    assert [cells(line) for line in blocks[3].split("\n")] == [
        ["System", "Source", "PER F1", "P", "F1"],
        ["---", "---", "---:", "---:", "---:"],
        ["BERT+CRF", "ours, 3 seeds", "**91.00** ± 1.00", "\N{EN DASH}", "83.50 ± 0.50"],
        ["", "paper", "90.06", "\N{EN DASH}", "83.71"],
        ["UMT", "paper", "91.56", "\N{EN DASH}", "85.31"],
        ["ESPVR", "ours, 2 seeds", "**91.00** ± 0.00", "\N{EN DASH}", "**84.00** ± 1.41"],
        ["ESPVR, all regions", "not run", *["\N{EN DASH}"] * 3],
    ]
    assert blocks[4] == "**Twitter-2015**"
    assert cells(blocks[5].split("\n")[2]) == ["BERT+CRF", "ours, 1 seed", *["\N{EN DASH}"] * 2, "70.00"]
    assert blocks[6:] == ["- BERT+CRF: with MiniLM-L6"]


@given(title=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_any_title_stays_one_cell(title):
    table = Table([Column("f1", "F1")], [Row(title, {"f1": [80.0]})])
    lines = to_markdown(table).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [len(cells(line)) for line in rows] == [3, 3, 3]
    assert plain(cells(rows[2])[0]) == " ".join(title.split())


@pytest.mark.parametrize("title", ["*a*", "_a_", "`a`", "[a](b)", "<a>", "~~a~~", "$a$", "&amp;", "a|b", "a\\"])
def test_marks_lose_their_meaning(title):
    line = to_markdown(Table([Column("f1", "F1")], [Row(title)])).splitlines()[-1]
    assert re.search(r"(?<!\\)[*_`\[\]<>~$&]", line) is None
