from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flair.data import Sentence

from flair_espvr.report import write_report


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[..., BeautifulSoup]:
    """Writes a report and reads it back as a browser's parser would build it."""

    def write_and_parse(posts: Iterable[Sentence], **arguments: Any) -> BeautifulSoup:
        path = write_report(posts, tmp_path / "report.html", **arguments)
        return BeautifulSoup(path.read_bytes(), "lxml", from_encoding="utf-8")

    return write_and_parse
