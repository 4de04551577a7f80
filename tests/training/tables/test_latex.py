import re

from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.training.tables.latex import to_latex
from flair_espvr.training.tables.layout import Column, Row, Table

BODY = re.compile(r"\\begin\{tabular\}\{(?P<columns>[lr]+)\}\n(?P<body>.*)\n\\end\{tabular\}", re.DOTALL)

# How TeX prints what the escapes stand for.
PRINTED = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    "{[}": "[",
    **{"\\" + character: character for character in "&%$#_{}"},
}


def read(latex):
    """The columns declared and the rows, each a list of `(cell, columns it spans)`."""
    found = BODY.search(latex)
    rows = []
    for line in found["body"].split("\n"):
        if line.endswith(r" \\"):
            row = []
            for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\")):
                span = re.fullmatch(r"\\multicolumn\{(\d+)\}\{c\}\{(.*)\}", cell.strip())
                row.append((span[2], int(span[1])) if span else (cell.strip(), 1))
            rows.append(row)
    return len(found["columns"]), rows


def balanced(text):
    """Whether every brace that TeX sees has its partner."""
    depth = 0
    for brace in re.findall(r"[{}]", re.sub(r"\\[{}]", "", text)):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    return depth == 0


def printed(cell):
    """What TeX prints for a cell of text, escape by escape."""
    return re.sub("|".join(map(re.escape, PRINTED)), lambda escape: PRINTED[escape[0]], cell)


def test_the_table_stands_as_in_the_paper(table):
    latex = to_latex(table)
    columns, rows = read(latex)
    assert columns == 8
    assert rows[0] == [("", 1), ("", 1), ("Twitter-2017", 3), ("Twitter-2015", 3)]
    assert [cell for cell, _ in rows[1]] == ["System", "Source", *["PER F1", "P", "F1"] * 2]
    assert [cell for cell, _ in rows[2]] == [
        *["BERT+CRF", "ours, 1 to 3 seeds"],
        *[r"\textbf{91.00}$_{\pm 1.00}$", "--", r"83.50$_{\pm 0.50}$"],
        *["--", "--", "70.00"],
    ]
    assert [cell for cell, _ in rows[3]] == ["", "paper", "90.06", "--", "83.71", "--", "--", "71.81"]
    assert len(rows) == 2 + 5
    assert all(sum(span for _, span in row) == columns for row in rows)
    assert re.findall(r"\\cmidrule\(lr\)\{(\d+)-(\d+)\}", latex) == [("3", "5"), ("6", "8")]
    assert [latex.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert r"\par BERT+CRF: with MiniLM-L6" in latex
    assert balanced(latex)


def test_without_groups_there_is_one_line_of_heads():
    latex = to_latex(Table([Column("f1", "F1")], [Row("BERT", {"f1": [80.0]})]))
    assert read(latex) == (
        3,
        [[("System", 1), ("Source", 1), ("F1", 1)], [("BERT", 1), ("ours, 1 seed", 1), ("80.00", 1)]],
    )
    assert r"\cmidrule" not in latex


@given(title=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_any_title_is_printed_as_it_is(title):
    latex = to_latex(Table([Column("f1", "F1")], [Row(title, note=title)], title=title))
    _, rows = read(latex)
    assert printed(rows[1][0][0]) == " ".join(title.split())
    assert balanced(latex)
    special = re.sub("|".join(map(re.escape, PRINTED)), "", rows[1][0][0])
    assert re.search(r"[\\&%$#_{}~^<>|\[]", special) is None


def test_signs_that_plain_latex_does_not_know():
    latex = to_latex(Table([Column("f1", "F1", "Twitter-2017 → Twitter-2015")], [Row("λ = 0.08")]))
    assert r"{Twitter-2017 \ensuremath{\rightarrow} Twitter-2015}" in latex
    assert r"\ensuremath{\lambda} = 0.08 &" in latex
    assert latex.isascii()
