import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.errors import PostFormatError
from flair_espvr.evaluation.counts_file import read_counts, write_counts

POST = st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)).map(
    lambda post: (post[0], post[1], min(post))
)


@given(posts=st.lists(POST, max_size=5))
def test_what_is_written_is_read_again(
    posts: list[tuple[int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("counts") / "test.counts.csv"
    counts = np.array(posts, dtype=np.int64).reshape(-1, 3)
    write_counts(path, counts)
    found = read_counts(path)
    assert found.dtype == np.int64
    assert found.shape == (len(posts), 3)
    assert np.array_equal(found, counts)
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(int(row["gold"]), int(row["predicted"]), int(row["correct"])) for row in csv.DictReader(file)]
    assert rows == posts


@pytest.mark.parametrize(
    "damaged", ["", "1,2", "1,2,3,4", "1,1,2", "2,0,1", "-1,0,0", "1.0,1,1", "²,2,2", f"{10**9},1,1", "1, 1,1"]
)
def test_a_damaged_line_is_named(damaged: str, tmp_path: Path) -> None:
    path = tmp_path / "test.counts.csv"
    path.write_text(f"gold,predicted,correct\n1,1,1\n{damaged}\n", encoding="utf-8")
    with pytest.raises(PostFormatError, match=r"test\.counts\.csv, line 3: expected three whole numbers"):
        read_counts(path)


@pytest.mark.parametrize("content", ["", "system,column\n1,1,1\n"])
def test_another_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "test.counts.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PostFormatError, match=r"line 1: expected the header gold,predicted,correct"):
        read_counts(path)
