import pytest

from flair_espvr.training.tables.layout import Column, Row, Table


@pytest.fixture
def table():
    """Two data sets, three figures of each; systems that were run, half run, only printed in the paper, or neither."""
    titles = ["PER F1", "P", "F1"]
    return Table(
        columns=[Column(f"{year}.{title}", title, f"Twitter-{year}") for year in (2017, 2015) for title in titles],
        rows=[
            Row(
                "BERT+CRF",
                values={"2017.PER F1": [90.0, 91.0, 92.0], "2017.F1": [83.0, 83.5, 84.0], "2015.F1": [70.0]},
                reference={"2017.PER F1": 90.06, "2017.F1": 83.71, "2015.F1": 71.81},
                note="with MiniLM-L6",
            ),
            Row("UMT", reference={"2017.PER F1": 91.56, "2017.F1": 85.31}),
            Row("ESPVR", values={"2017.PER F1": [91.001, 91.001], "2017.F1": [83.0, 85.0]}),
            Row("ESPVR, all regions"),
        ],
        title="Table 1",
    )
