import csv
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.training.tables.layout import Column, Row, Table
from flair_espvr.training.tables.tidy_csv import to_csv


def read(text):
    return list(csv.DictReader(StringIO(text, newline=""), strict=True))


def test_every_system_and_column_has_a_line(table):
    lines = read(to_csv(table))
    assert len(lines) == 4 * 6
    assert lines[0] == {
        "system": "BERT+CRF", "group": "Twitter-2017", "column": "PER F1", "mean": "91.0", "std": "1.0", "n": "3",
        "paper": "90.06", "note": "with MiniLM-L6",
    }  # fmt: skip
    assert (lines[5]["mean"], lines[5]["std"], lines[5]["n"]) == ("70.0", "", "1")
    assert (lines[6]["system"], lines[6]["mean"], lines[6]["n"], lines[6]["paper"]) == ("UMT", "", "0", "91.56")


@given(title=st.text(), seeds=st.lists(st.floats(0, 100), min_size=1, max_size=1))
def test_nothing_is_rounded_and_any_title_survives(title, seeds):
    (line,) = read(to_csv(Table([Column("f1", "F1")], [Row(title, {"f1": seeds})])))
    assert line["system"] == title
    assert float(line["mean"]) == seeds[0]
