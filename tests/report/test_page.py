import base64
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup, Tag
from flair.data import Sentence
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from flair_espvr.data import MultimodalCorpus
from flair_espvr.data.region import Region
from flair_espvr.report import page as page_module
from flair_espvr.report import write_report

PageOf = Callable[..., BeautifulSoup]

HOSTILE = '</p><script>alert(1)</script> & <img src="http://x.invalid/a.png" onerror="x"> {{ 7 * 7 }}'


def post(text: str = "Kevin Durant enters Oracle Arena", **metadata: Any) -> Sentence:
    sentence = Sentence(text)
    for key, value in metadata.items():
        sentence.add_metadata(key, value)
    return sentence


def picture(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(np.full((height, width, 3), (200, 30, 30), dtype=np.uint8))


def words(tag: Tag) -> str:
    """The post's own words in a stretch of its text, without the numbers and tags between them."""
    return "".join(text for text in tag.find_all(string=True) if not text.find_parent(attrs={"aria-hidden": "true"}))


def plain_text(card: Tag) -> str:
    return words(card.select_one(".text"))


def marked(card: Tag, number: int) -> str:
    """The words marked with `number`, pieces put together."""
    return "".join(map(words, card.select(f'.text mark[data-entity="{number}"]')))


def counts(page: BeautifulSoup) -> dict[str, str]:
    """The figures in the page's head, by what they count."""
    return {row.dt.text: row.dd.text for row in page.select(".counts > div")}


def edges(box: Tag) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"--(\w+):([\d.]+)%", box["style"])}


def test_every_entity_is_marked_listed_and_boxed_under_one_number(page_of: PageOf) -> None:
    sentence = post(image=picture(), caption="a man walks through a crowd")
    regions = [Region(0.0, 0.25, 0.5, 1.0, 0.875), Region(0.5, 0.125, 1.0, 0.75, 0.5)]
    sentence[0:2].add_label("ner", "PER", 0.934, region=regions[0])
    sentence[3:5].add_label("ner", "LOC", 0.5, region=regions[1], grounded=0.75)
    (card,) = page_of([sentence]).select("article")

    assert plain_text(card) == "Kevin Durant enters Oracle Arena"
    for number, (name, type_, confidence, region) in enumerate(
        [("Kevin Durant", "PER", "93%", regions[0]), ("Oracle Arena", "LOC", "50%", regions[1])], start=1
    ):
        assert marked(card, number) == name
        (row,) = card.select(f'li[data-entity="{number}"]')
        (box,) = card.select(f'.box[data-entity="{number}"]')
        assert row.select_one(".name").text == name
        assert row.select_one(".type").text == type_
        assert [share.text.strip() for share in row.select(".share")] == [
            f"{confidence} sure",
            f"{round(100 * region.score)}% {'of its attention' if number == 1 else 'right place'}",
        ]
        assert edges(box) == {edge: 100 * getattr(region, edge) for edge in ("left", "top", "right", "bottom")}
        assert row.select_one(".number").text == box.select_one(".number").text == str(number)
        colour = next(name for name in row["class"] if name.startswith("type-"))
        assert colour in box["class"]
        assert colour in card.select_one(f'mark[data-entity="{number}"]')["class"]
    assert card.select_one("figcaption").text == "a man walks through a crowd"


@pytest.mark.parametrize(("size", "shown"), [((64, 48), (64, 48)), ((2000, 1000), (640, 320)), ((1, 3000), (1, 640))])
def test_the_picture_travels_inside_the_page_small(
    page_of: PageOf, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    image = page_of([post(image=picture(*size))]).select_one("article img")
    head, _, data = image["src"].partition(",")
    assert head == "data:image/jpeg;base64"
    opened = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    assert opened.size == shown == (int(image["width"]), int(image["height"]))
    red, green, blue = opened.resize((1, 1)).getpixel((0, 0))
    assert abs(red - 200) < 4
    assert abs(green - 30) < 4
    assert abs(blue - 30) < 4


def test_a_picture_that_cannot_be_read_shows_why_and_keeps_its_caption(page_of: PageOf, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff junk")
    posts = [
        post(image=tmp_path / "absent.jpg", caption="a harbour"),
        post(image=tmp_path / "broken.jpg"),
        post(image=b""),
        post(),
    ]
    page = page_of(posts)
    reasons = [note.get_text(" ", strip=True) for note in page.select(".no-picture")]
    assert reasons == [
        "Picture not shown: no such file",
        "Picture not shown: begins like a picture, but is damaged",
        "Picture not shown: is empty",
        "No picture",
    ]
    assert page.select_one("figcaption").text == "a harbour"
    assert page.select("article img") == []
    assert counts(page)["pictures unreadable"] == "3"


def test_the_head_counts_and_names_every_type(page_of: PageOf) -> None:
    first, second = post(image=picture()), post("Nothing here")
    first[0:2].add_label("predicted", "PER", 0.9, region=Region(0, 0, 1, 1, 0.5))
    first[3:5].add_label("predicted", "galaxy", 0.9)
    first[0:2].add_label("gold", "PER")
    first[3:5].add_label("gold", "LOC")
    second[0:1].add_label("gold", "LOC")
    page = page_of([first, second], label_type="predicted", gold_label_type="gold")
    assert counts(page) == {
        "posts": "2",
        "with picture": "1",
        "entities": "2",
        "right": "1",
        "wrong": "1",
        "missed": "2",
    }
    rows = {row.th.text: [int(cell.text) for cell in row.select("td")] for row in page.select(".legend tbody tr")}
    assert rows == {"PER": [1, 1, 1, 0, 0], "galaxy": [1, 0, 0, 1, 0], "LOC": [0, 0, 0, 0, 2]}


def test_what_the_picture_does_not_show_is_said_with_its_probability(page_of: PageOf) -> None:
    sentence = post(image=picture())
    sentence[0:2].add_label("ner", "PER", 0.9, region=Region(0, 0, 0.5, 0.5, 0.8), grounded=0.97)
    sentence[3:5].add_label("ner", "LOC", 0.9, grounded=0.123)
    page = page_of([sentence])
    shown, absent = page.select("article li")
    assert shown.select_one(".not-shown") is None
    assert absent.select_one(".not-shown").text == "not in the picture (12%)"
    assert "absent" in absent["class"]
    assert "absent" in page.select_one('mark[data-entity="2"]')["class"]
    assert [box["data-entity"] for box in page.select(".box")] == ["1"]
    assert page.select_one(".legend thead").text == "typeentitieswith regionnot in the picture"
    assert [cell.text for cell in page.select(".legend tbody td")] == ["1", "0", "1", "1", "1", "0"]


def test_gold_boxes_are_drawn_and_compared(page_of: PageOf) -> None:
    sentence = post("Kevin Durant enters Oracle Arena in Oakland with Steph", image=picture())
    half, quarter = Region(0, 0, 0.5, 1.0), Region(0, 0, 0.5, 0.5)
    sentence[0:2].add_label("predicted", "PER", region=half, grounded=0.9)
    sentence[0:2].add_label("gold", "PER", regions=(Region(0.5, 0.5, 1, 1), quarter))
    sentence[3:5].add_label("predicted", "LOC", region=half, grounded=0.9)
    sentence[3:5].add_label("gold", "LOC", regions=())
    sentence[6:7].add_label("predicted", "LOC", grounded=0.1)
    sentence[6:7].add_label("gold", "LOC", regions=(quarter,))
    sentence[8:9].add_label("gold", "PER", regions=(half,))
    (card,) = page_of([sentence], label_type="predicted", gold_label_type="gold").select("article")
    said = [[note.text for note in row.select(".gold")] for row in card.select("li")]
    assert said == [
        ["gold: IoU 0.50"],
        ["gold: not in the picture"],
        ["gold: in the picture"],
        ["gold: in the picture"],
    ]
    boxes = [(box.get("data-entity"), edges(box)["bottom"]) for box in card.select(".gold-box")]
    assert boxes == [("1", 100.0), ("1", 50.0), ("3", 50.0), (None, 100.0)]


def test_a_map_lies_over_the_picture_until_asked_for_by_pointer_key_or_tick(page_of: PageOf) -> None:
    sentence = post(image=picture())
    relevance = np.zeros((3, 4))
    relevance[0, 1] = 1.0
    sentence[0:2].add_label("ner", "PER", 0.9, grounded=0.2, relevance=relevance)
    sentence[3:5].add_label("ner", "LOC", 0.9)
    page = page_of([sentence])
    (heat,) = page.select(".picture img.heat")
    opened = Image.open(io.BytesIO(base64.b64decode(heat["src"].partition("base64,")[2], validate=True)))
    assert opened.size == (4, 3)
    assert np.array_equal(np.asarray(opened.convert("RGBA"))[..., 3] > 0, relevance > 0)
    (tick,) = page.select("input[data-shows]")
    assert tick["type"] == "checkbox"
    assert tick["data-shows"] == heat["data-entity"] == "1"
    assert tick["aria-label"] == "Show Kevin Durant in the picture"
    assert tick.find_parent("li")["data-entity"] == "1"
    assert '[data-entity="1"]:is(:hover,:focus-within),[data-shows="1"]:checked' in page.style.text


def test_maps_add_little_to_a_page(tmp_path: Path) -> None:
    sizes = []
    for relevance in ({}, {"relevance": np.random.default_rng(0).random((500, 500))}):
        sentence = post(image=picture())
        sentence[0:2].add_label("ner", "PER", 0.9, grounded=0.2, **relevance)
        sizes.append(write_report([sentence], tmp_path / "report.html").stat().st_size)
    assert 0 < sizes[1] - sizes[0] < 4096


def test_gold_marks_have_an_icon_and_a_word(page_of: PageOf) -> None:
    sentence = post("Kevin Durant enters Oracle Arena in Oakland with Steph")
    for start, end, value in [(0, 2, "PER"), (3, 5, "PER"), (6, 7, "LOC")]:
        sentence[start:end].add_label("predicted", value, 0.9)
    for start, end, value in [(0, 2, "PER"), (3, 5, "LOC"), (8, 9, "PER")]:
        sentence[start:end].add_label("gold", value)
    (card,) = page_of([sentence], label_type="predicted", gold_label_type="gold").select("article")
    verdicts = [(row.select_one(".name").text, row.select_one(".verdict").text) for row in card.select("li")]
    assert verdicts == [
        ("Kevin Durant", "✓ right"),
        ("Oracle Arena", "✗ wrong type"),
        ("Oakland", "✗ not in gold"),
        ("Steph", "○ missed"),
    ]
    assert [row.text for row in card.select(".gold")] == ["gold: LOC"]
    assert [mark.select_one(".tag").text.split()[-1] for mark in card.select(".text mark")] == ["✓", "✗", "✗", "○"]
    (missed,) = card.select("mark.missed")
    assert not missed.has_attr("data-entity")


def test_without_gold_labels_the_page_judges_nothing(page_of: PageOf) -> None:
    sentence = post()
    sentence[0:2].add_label("ner", "PER")
    page = page_of([sentence])
    assert page.select(".verdict") == []
    assert "missed" not in page.text


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5), st.text("AB", min_size=1, max_size=2)), max_size=6))
def test_spans_that_nest_and_cross_keep_text_and_marks(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int, str]]
) -> None:
    sentence = post()
    for start, length, value in spans:
        sentence[start : start + length].add_label("ner", value)
    path = write_report([sentence], tmp_path_factory.mktemp("page") / "report.html")
    (card,) = BeautifulSoup(path.read_bytes(), "lxml").select("article")
    assert plain_text(card) == sentence.text
    for row in card.select("li"):
        assert marked(card, int(row["data-entity"])) == row.select_one(".name").text
    assert len(card.select("li")) == len(sentence.get_labels("ner"))


def test_boxes_in_one_corner_are_told_apart(page_of: PageOf) -> None:
    sentence = post(image=picture())
    region = Region(0.25, 0.25, 0.75, 0.75, 0.5)
    sentence[0:2].add_label("ner", "PER", region=region)
    sentence[3:5].add_label("ner", "LOC", region=region)
    styles = [box["style"] for box in page_of([sentence]).select(".box")]
    assert [re.search(r"--rank:(\d+)", style)[1] for style in styles] == ["0", "1"]


# What HTML holds as it is: no controls and no surrogates (a test below), no noncharacters.
writable = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=30)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Z")), min_size=1, max_size=8),
        min_size=1,
        max_size=6,
    ),
    writable,
    writable,
)
@example(HOSTILE.split(), HOSTILE, HOSTILE)
@example(["<!--", "]]>", "&amp;", "&#0;", "\u202eevil\u202c", "שלום", "👩‍👩‍👧"], "<b>", "'\"")
def test_whatever_a_post_says_is_shown_and_never_run(
    page_of: PageOf, words: list[str], value: str, caption: str
) -> None:
    sentence = Sentence(words)
    if len(sentence) == 0:
        return
    sentence.add_metadata("caption", caption)
    sentence.add_metadata("image_id", caption)
    sentence.add_metadata("image", picture(2, 2))
    sentence[0:1].add_label("ner", value, region=Region(0, 0, 1, 1, 0.5))
    page = page_of([sentence], title=caption, introduction=[caption])

    (card,) = page.select("article")
    assert plain_text(card) == " ".join(token.text for token in sentence)
    assert card.select_one("li .type").text == value
    assert card.select_one(".id").text == caption
    assert page.h1.text == page.select_one(".head > p").text == page.title.text == caption
    assert page.find_all(["script", "iframe", "object", "link", "form", "a"]) == []
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.find_all("img"))
    assert not [name for tag in page.find_all(True) for name in tag.attrs if name.startswith("on")]


def test_controls_and_lone_surrogates_become_a_sign(page_of: PageOf) -> None:
    sentence = Sentence(["a\x00b", "\x1b[31m", "c\ud800d", "e\x85f"])
    assert plain_text(page_of([sentence]).article) == "a\ufffdb \ufffd[31m c\ufffdd e\ufffdf"


def test_each_text_chooses_its_own_direction(page_of: PageOf) -> None:
    sentence = post("مرحبا من القاهرة", image=picture(), caption="رجل")
    sentence[2:3].add_label("ner", "LOC")
    (card,) = page_of([sentence]).select("article")
    assert card.select_one(".text")["dir"] == card.figcaption["dir"] == "auto"
    assert card.select_one("li .name").name == "bdi"
    assert card.select_one(".tag")["dir"] == "ltr"


def test_the_page_asks_for_nothing_outside_itself(page_of: PageOf) -> None:
    page = page_of([post(image=picture())])
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert "default-src 'none'" in policy
    assert "url(" not in page.style.text
    assert "@import" not in page.style.text
    assert page.find("meta", {"name": "viewport"}) is not None
    assert page.html["lang"] == "en"


def test_an_empty_post_and_no_posts_at_all_make_a_page(page_of: PageOf) -> None:
    assert len(page_of([Sentence([])]).select("article")) == 1
    page = page_of([])
    assert page.select("article") == []
    assert counts(page)["posts"] == "0"


def test_posts_are_taken_once_and_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = []

    def posts() -> Iterator[Sentence]:
        for number in range(3):
            events.append(f"give {number}")
            yield post(f"Post {number}")

    make_card = page_module.make_card

    def noted(sentence: Sentence, *arguments: str | None) -> object:
        events.append(f"show {sentence[-1].text}")
        return make_card(sentence, *arguments)

    monkeypatch.setattr(page_module, "make_card", noted)
    write_report(posts(), tmp_path / "report.html")
    assert events == ["give 0", "show 0", "give 1", "show 1", "give 2", "show 2"]


def test_a_failure_midway_leaves_the_old_page_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")

    def posts() -> Iterator[Sentence]:
        yield post()
        raise RuntimeError("the tagger stopped")

    with pytest.raises(RuntimeError, match="the tagger stopped"):
        write_report(posts(), path)
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_the_path_is_returned_and_its_folder_must_exist(tmp_path: Path) -> None:
    assert write_report([], str(tmp_path / "report.html")) == tmp_path / "report.html"
    with pytest.raises(FileNotFoundError):
        write_report([], tmp_path / "absent" / "report.html")


def test_pictures_and_posts_are_left_as_they_were(page_of: PageOf) -> None:
    source = picture(2000, 1000)
    sentence = post(image=source)
    sentence[0:2].add_label("ner", "PER", 0.25)
    before = sentence.to_dict()
    page_of([sentence])
    assert source.size == (2000, 1000)
    assert str(sentence.to_dict()) == str(before)


def test_the_posts_own_id_is_shown_and_that_of_its_picture_where_it_is_another(page_of: PageOf) -> None:
    for metadata, shown in (
        ({"record": {"id": 7}, "image_id": "kevin"}, ["7", "kevin"]),
        ({"record": {"id": "kevin"}, "image_id": "kevin"}, ["kevin"]),
        ({"image_id": "kevin"}, ["kevin"]),
    ):
        page = page_of([post(**metadata)])
        assert [one.text for one in page.select("article header .id")] == shown


def test_attention_is_compared_with_an_even_look_and_chance_is_faded(page_of: PageOf) -> None:
    sentence = post(image=picture())
    sentence[0:1].add_label("ner", "PER", 0.9, region=Region(0, 0, 0.5, 0.5, 0.268))
    sentence[1:2].add_label("ner", "PER", 0.9, region=Region(0, 0, 0.5, 0.5, 0.75))
    sentence[2:3].add_label("ner", "PER", 0.9, region=Region(0, 0, 0.5, 0.5, 0.268), grounded=0.8)
    page = page_of([sentence])
    even, more, learned = page.select("article li")
    assert "1.1 times an even share, hardly more than chance" in even.text
    assert "3.0 times an even share" in more.text
    assert "even share" not in learned.text
    assert ["even" in box["class"] for box in page.select(".box")] == [True, False, False]


def test_pictures_enlarge_by_mouse_and_keyboard_without_a_script(page_of: PageOf) -> None:
    page = page_of([post(image=picture())])
    assert page.select_one(".picture .enlarge input[type=checkbox]")["aria-label"] == "Enlarge the picture of post 1"
    assert ".picture:has(.enlarge input:checked) { position: fixed" in page.style.text
    assert not page.select("script")


def test_text_without_spaces_is_shown_as_it_was_written(page_of: PageOf, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("IMGID:7\n天\tB-PER\n地\tI-PER\n玄\tO\n", encoding="utf-8")
    record = '{"tokens": ["天", "地", "玄"], "entities": [{"start": 0, "end": 2, "type": "PER"}]}'
    (tmp_path / "test.jsonl").write_text(record, encoding="utf-8")
    files = {"train_file": "train.txt", "dev_file": None, "test_file": "test.jsonl"}
    for spaces, text, name in ((True, "天 地 玄", "天 地"), (False, "天地玄", "天地")):
        corpus = MultimodalCorpus(tmp_path, **files, sample_missing_splits=False, spaces=spaces)
        for split in (corpus.train, corpus.test):
            assert split[0].text == text
            assert [(span.text, span.start_position) for span in split[0].get_spans("ner")] == [(name, 0)]
            page = page_of(split)
            for mark in page.select("mark .number, mark .tag"):
                mark.extract()
            assert page.select_one("article .text").text == text


def test_each_of_several_pictures_has_a_figure_with_its_own_boxes(page_of: PageOf) -> None:
    maps = np.zeros((3, 2, 2))
    maps[0, 0, 0] = maps[2, 1, 1] = 0.5
    sentence = post(image=[picture(), b"broken", picture()], caption=["a man", "nothing", "a hall"])
    sentence[0:2].add_label("ner", "PER", 0.9, region=Region(0, 0, 0.5, 1, 0.8, image=2), grounded=0.9, relevance=maps)
    sentence[3:5].add_label("ner", "LOC", 0.9, region=Region(0.5, 0, 1, 1, 0.8), regions=(Region(0, 0, 1, 1, image=2),))
    page = page_of([sentence, post(image=[picture(), picture()], caption=["one for both"]), post(caption="none")])
    first, second, third = page.select("article")
    figures = first.select("figure")
    assert [figure.select_one(".which").text for figure in figures] == ["Picture 1", "Picture 2", "Picture 3"]
    assert [figure.figcaption.text for figure in figures] == ["a man", "nothing", "a hall"]
    drawn = [[box["data-entity"] for box in figure.select(".box, .gold-box, .heat")] for figure in figures]
    assert drawn == [["1", "2"], [], ["1", "2", "1"]]  # maps, gold boxes, boxes
    assert [bool(figure.select("img:not(.heat)")) for figure in figures] == [True, False, True]
    assert "on picture 3" in first.select_one('li[data-entity="1"]').text
    assert [len(figure.select("figcaption")) for figure in second.select("figure")] == [0, 1]
    assert [figure.text.split() for figure in third.select("figure")] == [["No", "picture", "none"]]
    assert not third.select(".which")
    assert (counts(page)["with picture"], counts(page)["picture unreadable"]) == ("2", "1")
