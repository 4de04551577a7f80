import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.data import Post, write_posts
from flair_espvr.data.bio import bio_tags, lenient_entities
from flair_espvr.data.formats.convert import convert_posts, read_any
from flair_espvr.data.formats.detect import format_by_suffix, format_of
from flair_espvr.errors import ConfigurationError, PostFormatError

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\ufeff"), min_size=1, max_size=4)
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-GPE-CITY"])
POSTS = st.lists(st.lists(st.tuples(WORDS, TAGS), min_size=1, max_size=5), max_size=3)


def as_posts(tagged_posts):
    """Posts with valid tags and the ids that posts without ids are given."""
    posts = []
    for number, tagged in enumerate(tagged_posts, start=1):
        entities = lenient_entities([tag for _, tag in tagged])
        posts.append(Post(str(number), tuple(w for w, _ in tagged), tuple(bio_tags(len(tagged), entities)), 0))
    return posts


@pytest.mark.parametrize("start", ["imgid", "conll", "jsonl"])
@pytest.mark.parametrize("by", ["imgid", "conll", "jsonl"])
@given(tagged=POSTS)
def test_there_and_back_changes_nothing(tmp_path_factory, start, by, tagged):
    folder = tmp_path_factory.mktemp("convert")
    with (folder / "0").open("wb") as file:
        write_posts(as_posts(tagged), file)
    convert_posts(folder / "0", folder / "1", source_format="imgid", target_format=start)
    convert_posts(folder / "1", folder / "2", source_format=start, target_format=by)
    convert_posts(folder / "2", folder / "3", source_format=by, target_format=start)
    convert_posts(folder / "3", folder / "4", source_format=start, target_format="imgid")
    assert (folder / "1").read_bytes() == (folder / "3").read_bytes()
    assert (folder / "0").read_bytes() == (folder / "4").read_bytes()


def test_text_is_split_and_what_is_lost_is_counted(tmp_path):
    record = {
        "id": "7",
        "text": "I'm in New York!",
        "caption": "a city",
        "images": ["a/7.jpg", "8.jpg"],
        "entities": [{"start": 7, "end": 15, "type": "LOC"}],
    }
    (tmp_path / "posts.jsonl").write_text(json.dumps(record) + "\n")
    done = convert_posts(tmp_path / "posts.jsonl", tmp_path / "posts.txt", source_format="jsonl", target_format="imgid")
    assert (done.posts, done.lost_captions, done.lost_pictures, done.repaired_tags) == (1, 1, 1, 0)
    assert (tmp_path / "posts.txt").read_text() == "IMGID:7\nI\tO\n'm\tO\nin\tO\nNew\tB-LOC\nYork\tI-LOC\n!\tO\n\n"


def test_jsonl_stays_what_it_is(tmp_path):
    record = {"id": 7, "text": "in  New York", "likes": 3, "entities": [{"start": 4, "end": 12, "type": "LOC"}]}
    (tmp_path / "1").write_text(json.dumps(record) + "\n")
    convert_posts(tmp_path / "1", tmp_path / "2", source_format="jsonl", target_format="jsonl")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_invalid_tags_stay_between_columns_and_are_repaired_for_jsonl(tmp_path):
    (tmp_path / "1").write_text("IMGID:1\na\tI-PER\n\n")
    convert_posts(tmp_path / "1", tmp_path / "2", source_format="imgid", target_format="conll")
    assert (tmp_path / "2").read_text() == "a\tI-PER\n\n"
    done = convert_posts(tmp_path / "1", tmp_path / "3", source_format="imgid", target_format="jsonl")
    assert done.repaired_tags == 1
    assert json.loads((tmp_path / "3").read_text()) == {
        "id": "1",
        "tokens": ["a"],
        "entities": [{"start": 0, "end": 1, "type": "PER"}],
    }


def test_a_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "in").write_text("a\tO\n\nbroken\n")
    (tmp_path / "out").write_text("old")
    with pytest.raises(PostFormatError, match="line 3"):
        convert_posts(tmp_path / "in", tmp_path / "out", source_format="conll", target_format="jsonl")
    assert (tmp_path / "out").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


@pytest.mark.parametrize(
    ("content", "format"),
    [('{"text": "a"}\n', "jsonl"), ("\n\ufeffIMGID:1\n", "conll"), ("\nIMGID:1\n", "imgid"), ("a O\n", "conll")]
    + [(line, "conll2003") for line in ("-DOCSTART- -X- O O\n", "\nEU NNP I-NP I-ORG\n")]
    + [(line, "conll") for line in ("EU NNP I-NP X\n", "a\tB-PER\n")],
)
def test_formats_are_told_by_the_first_line(tmp_path, content, format):
    (tmp_path / "posts").write_text(content, encoding="utf-8")
    assert format_of(tmp_path / "posts") == format


def test_formats_to_write_are_told_by_the_suffix():
    assert [format_by_suffix(name) for name in ("a.jsonl", "a.conll", "a.txt")] == ["jsonl", "conll", "imgid"]
    for name in ("a", "a.json5", "a.TXT"):
        with pytest.raises(ConfigurationError, match=r"\.jsonl, \.conll, \.txt, \.csv"):
            format_by_suffix(name)


def test_any_format_reads_as_posts(tmp_path):
    record = {"id": 7, "tokens": ["a"], "image": "b.png", "entities": [{"start": 0, "end": 1, "type": "PER"}]}
    (tmp_path / "posts").write_text(json.dumps(record))
    image = str(tmp_path / "b.png")
    assert list(read_any(tmp_path / "posts")) == [Post("b", ("a",), ("B-PER",), 1, record=record, image=image)]


@pytest.mark.parametrize("by", ["conll", "jsonl"])
def test_the_published_files_there_and_back(real_corpus, tmp_path, by):
    source = real_corpus / "test.txt"
    convert_posts(source, tmp_path / "1", source_format="imgid", target_format=by)
    convert_posts(tmp_path / "1", tmp_path / "2", source_format=by, target_format="imgid")
    for before, after in zip(read_any(source), read_any(tmp_path / "2"), strict=True):
        assert before.tokens == after.tokens
        assert lenient_entities(before.tags) == lenient_entities(after.tags)
        assert by == "conll" or before.image_id == after.image_id
