import pytest

from flair_espvr.data import read_captions
from flair_espvr.errors import PostFormatError


def test_tsv(tmp_path):
    path = tmp_path / "captions.tsv"
    path.write_text(
        '# {"model": "stub"}\nimage_id\tcaption\n1\ta man\twith a tab\n2\t\n\n3\ta\u2028b\n', encoding="utf-8"
    )
    assert read_captions(path) == {"1": "a man\twith a tab", "3": "a\u2028b"}


def test_jsonl(tmp_path):
    path = tmp_path / "captions.jsonl"
    path.write_text('{"header": {"model": "stub"}}\n{"image_id": "1", "caption": "a man"}\n')
    assert read_captions(path) == {"1": "a man"}


def test_column_names_are_only_names_in_the_first_line(tmp_path):
    path = tmp_path / "captions.tsv"
    path.write_text("1\ta man\nimage_id\tcaption\n")
    assert read_captions(path) == {"1": "a man", "image_id": "caption"}


def test_the_later_of_two_captions_counts_and_is_reported(tmp_path, caplog):
    path = tmp_path / "captions.tsv"
    path.write_text("1\told\n1\tnew\n2\tsame\n2\tsame\n")
    assert read_captions(path) == {"1": "new", "2": "same"}
    assert "1 captions replace" in caplog.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.tsv", "1 a man\n"),
        ("captions.tsv", "\ta man\n"),
        ("captions.jsonl", "no json\n"),
        ("captions.jsonl", '{"image_id": 1, "caption": "a man"}\n'),
        ("captions.jsonl", '["1", "a man"]\n'),
    ],
)
def test_a_malformed_line_is_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_text("\n" + content)
    with pytest.raises(PostFormatError, match=f"{name}, line 2"):
        read_captions(path)
