import pytest
from flair.data import get_spans_from_bio
from flair.datasets import ColumnDataset
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.data.bio import bio_tags, invalid_positions, lenient_entities
from flair_espvr.data.formats.conll2003 import read_conll2003_posts
from flair_espvr.data.formats.convert import convert_posts, read_any
from flair_espvr.errors import PostFormatError
from flair_espvr.tagging.sources import PostFile

PUBLISHED = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O
German JJ I-NP I-MISC
call NN I-NP O

Britain NNP I-NP I-LOC
Germany NNP I-NP B-LOC
-DOCSTART- -X- O O

Peter NNP I-NP I-PER
Blackburn NNP I-NP I-PER
"""


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "eng.train"
    path.write_text(PUBLISHED)
    return path


def test_entities_are_those_that_flair_reads(published):
    posts = list(read_conll2003_posts(published))
    theirs = ColumnDataset(published, {0: "text", 3: "ner"}, comment_symbol="-DOCSTART-")
    assert [post.tokens for post in posts] == [tuple(token.text for token in sentence) for sentence in theirs]
    assert [[(" ".join(post.tokens[s:e]), t) for s, e, t in lenient_entities(post.tags)] for post in posts] == [
        [(span.text, span.get_label("ner").value) for span in sentence.get_spans("ner")] for sentence in theirs
    ]
    assert [post.line for post in posts] == [3, 8, 12]


@given(st.lists(st.sampled_from(["O", "B-PER", "I-PER", "I-LOC"]), min_size=1, max_size=8))
def test_iob1_is_valid_bio_and_the_same_entities(tmp_path_factory, tags):
    path = tmp_path_factory.mktemp("iob1") / "posts"
    path.write_text("".join(f"w NN {tag}\n" for tag in tags))
    (post,) = read_conll2003_posts(path)
    assert not invalid_positions(post.tags)
    expected = [(words[0], words[-1] + 1, type_) for words, _, type_ in get_spans_from_bio(list(tags))]
    assert list(post.tags) == bio_tags(len(tags), expected)


def test_tabs_and_rows_of_blanks_separate_columns_too(published, tmp_path):
    (tmp_path / "other").write_text(PUBLISHED.replace(" ", " \t ").replace("\n\n", " \n  \n"))
    assert list(read_conll2003_posts(tmp_path / "other")) == list(read_conll2003_posts(published))


def test_convert_and_predict_know_it_by_its_first_line(published, tmp_path):
    done = convert_posts(published, tmp_path / "out", source_format="conll2003", target_format="imgid")
    assert (done.posts, done.repaired_tags) == (3, 0)
    assert list(read_any(published))[2].tags == ("B-PER", "I-PER")
    assert [post.tokens for post in PostFile(published).posts()][1] == ("Britain", "Germany")


@pytest.mark.parametrize("line", ["EU I-ORG", "EU NNP I-NP ORG", "EU NNP I-NP I-"])
def test_a_line_without_columns_or_tag_is_an_error(published, line):
    published.write_text(PUBLISHED.replace("EU NNP I-NP I-ORG", line))
    with pytest.raises(PostFormatError, match=f"line 3: expected a word, further columns and a tag .* found '{line}'"):
        list(read_conll2003_posts(published))
