import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.data.formats.columns import read_posts, write_posts
from flair_espvr.data.post import Post
from flair_espvr.errors import PostFormatError

TWO_POSTS = "IMGID:17_1\nNew\tB-LOC\nYork\tI-LOC\n\nIMGID:O_2\nhello\tO\n\n"


@pytest.fixture
def read(tmp_path):
    def write_and_read(content: str | bytes, **arguments):
        path = tmp_path / "posts.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_posts(path, **arguments))

    return write_and_read


def test_posts_have_ids_words_tags_and_lines(read):
    assert read(TWO_POSTS) == [
        Post("17_1", ("New", "York"), ("B-LOC", "I-LOC"), 1),
        Post("O_2", ("hello",), ("O",), 5),
    ]


@pytest.mark.parametrize(
    "variant",
    [
        TWO_POSTS.replace("\n", "\r\n"),
        "\ufeff" + TWO_POSTS,
        TWO_POSTS.removesuffix("\n"),
        TWO_POSTS.removesuffix("\n\n"),
        TWO_POSTS.replace("\t", " "),
        TWO_POSTS.replace("\n\n", "\n \t\n\n"),
        "\n\n" + TWO_POSTS,
    ],
    ids=["CRLF", "byte order mark", "no last blank line", "no last line end", "spaces", "blanks", "leading"],
)
def test_variants_read_the_same(read, variant):
    without_lines = [(post.image_id, post.tokens, post.tags) for post in read(variant)]
    assert without_lines == [(post.image_id, post.tokens, post.tags) for post in read(TWO_POSTS)]


@pytest.mark.parametrize(
    "word", ["\u200b", "\ufe0f", "\u200d", "\u00a0", "\u3000", "\u2028", "\u0085", "\x1c", " ", "#"]
)
def test_invisible_words_are_words(read, word):
    assert read(f"IMGID:1\n{word}\tO\n")[0].tokens == (word,)


def test_bioes_reads_as_bio(read):
    (post,) = read("IMGID:1\nNew\tB-LOC\nYork\tE-LOC\nKevin\tS-PER\n")
    assert post.tags == ("B-LOC", "I-LOC", "B-PER")


def test_conll_has_no_ids(read):
    assert read("New\tB-LOC\n\nYork\tI-LOC\n", image_ids=False) == [
        Post(None, ("New",), ("B-LOC",), 1),
        Post(None, ("York",), ("I-LOC",), 3),
    ]


def test_a_post_without_words_is_a_post(read):
    assert read("IMGID:1\n\nIMGID:2\n") == [Post("1", (), (), 1), Post("2", (), (), 3)]


def test_nothing_is_no_posts(read):
    assert read("") == read("\n\n") == []


@pytest.mark.parametrize(
    ("content", "line", "shown", "expected"),
    [
        ("IMGID:1\nword\n", 2, "'word'", "word<TAB>tag"),
        ("IMGID:1\nword\tO\textra\n", 2, r"'word\tO\textra'", "word<TAB>tag"),
        ("IMGID:1\n\tO\n", 2, r"'\tO'", "word<TAB>tag"),
        ("IMGID:1\nword\tX-PER\n", 2, r"'word\tX-PER'", "B-TYPE"),
        ("IMGID:1\nword\tB-\n", 2, r"'word\tB-'", "B-TYPE"),
        ("IMGID:1\na\tO\nIMGID:2\nb\tO\n", 3, "'IMGID:2'", "blank line"),
        ("a\tO\n", 1, r"'a\tO'", "IMGID:<id>"),
        ("IMGID:\na\tO\n", 1, "'IMGID:'", "IMGID:<id>"),
        (b"IMGID:1\n\xff\tO\n", 2, r"xff\tO'", "UTF-8"),
    ],
)
def test_a_malformed_line_is_named(read, content, line, shown, expected):
    with pytest.raises(PostFormatError) as error:
        read(content)
    message = str(error.value)
    assert f"posts.txt, line {line}:" in message
    assert shown in message
    assert expected in message


def test_a_long_line_is_shortened(read):
    with pytest.raises(PostFormatError) as error:
        read("IMGID:1\n" + "x" * 10_000)
    assert len(str(error.value)) < 400


def test_reading_streams(tmp_path):
    path = tmp_path / "posts.txt"
    path.write_text("IMGID:1\na\tO\n\nIMGID:2\nbroken\n")
    posts = read_posts(path)
    assert next(posts).image_id == "1"
    with pytest.raises(PostFormatError):
        next(posts)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\ufeff"), min_size=1, max_size=4)
TAGGED = st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-PER", "I-PER", "I-LOC"])), min_size=1, max_size=5)
IDS = WORDS.map(lambda word: word.strip(" ")).filter(bool)


@pytest.mark.parametrize("image_ids", [True, False])
@given(posts=st.lists(st.tuples(IDS, TAGGED), max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory, image_ids, posts):
    written = [
        Post(image_id if image_ids else None, tuple(w for w, _ in tagged), tuple(t for _, t in tagged), 0)
        for image_id, tagged in posts
    ]
    path = tmp_path_factory.getbasetemp() / "round_trip.txt"
    with path.open("wb") as file:
        assert write_posts(written, file, image_ids=image_ids) == len(written)
    read = [Post(post.image_id, post.tokens, post.tags, 0) for post in read_posts(path, image_ids=image_ids)]
    assert read == written


@pytest.mark.parametrize(
    ("post", "image_ids", "reason"),
    [
        (Post(None, ("a",), ("O",), 1), True, "no image id"),
        (Post(None, (), (), 1), False, "no words"),
        (Post("1", ("a\tb",), ("O",), 1), True, "TAB"),
        (Post("1", ("a\nb",), ("O",), 1), True, "line end"),
    ],
)
def test_what_columns_cannot_hold_is_not_written(post, image_ids, reason):
    with pytest.raises(PostFormatError, match=reason):
        write_posts([post], io.BytesIO(), image_ids=image_ids)
