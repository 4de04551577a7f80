import io
import json

import pytest
from flair.data import Sentence
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.data import PictureObject, Region, read_jsonl_posts, read_jsonl_sentences, write_jsonl_posts
from flair_espvr.data.formats.parquet import parsed_row
from flair_espvr.data.formats.record_sentences import record_sentence, sentence_record
from flair_espvr.data.formats.records import parse_record
from flair_espvr.errors import PostFormatError

DURANT = {
    "id": "7",
    "text": "Kevin Durant enters Oracle Arena",
    "caption": "a man in a suit",
    "entities": [{"start": 0, "end": 12, "type": "PER"}, {"start": 20, "end": 32, "type": "LOC"}],
}


@pytest.fixture
def read(tmp_path):
    def write_and_read(*records, **arguments):
        path = tmp_path / "posts.jsonl"
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        path.write_text("\n".join(lines), encoding="utf-8")
        return list(read_jsonl_sentences(path, **arguments))

    return write_and_read


def spans(sentence, label_type="ner"):
    return [(span.text, span.get_label(label_type).value) for span in sentence.get_spans(label_type)]


def test_text_and_tokens_give_the_same_entities(read):
    tokens = {
        "tokens": DURANT["text"].split(),
        "entities": [{"start": 0, "end": 2, "type": "PER"}, {"start": 3, "end": 5, "type": "LOC"}],
    }
    by_text, by_tokens = read(DURANT, tokens)
    assert spans(by_text) == spans(by_tokens) == [("Kevin Durant", "PER"), ("Oracle Arena", "LOC")]


def test_a_post_brings_its_metadata(read, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "durant.png").write_bytes(b"a picture")
    with_picture, without = read({**DURANT, "image": "pictures/durant.png"}, {"text": "hello"})
    assert with_picture.get_metadata("image") == str(tmp_path / "pictures" / "durant.png")
    assert with_picture.get_metadata("image_id") == "durant"
    assert with_picture.get_metadata("caption") == "a man in a suit"
    assert without.get_metadata("image_id") == "2"
    assert not without.has_metadata("image")
    assert not without.has_metadata("caption")


def test_pictures_that_are_not_there_are_counted(read, caplog):
    (sentence,) = read({**DURANT, "image": "x" * 5000 + ".jpg"})
    assert not sentence.has_metadata("image")
    assert "1 of the pictures" in caplog.text


def test_types_are_mapped_and_the_layer_is_chosen(read):
    (sentence,) = read(DURANT, label_type="gold", label_name_map={"LOC": "PLACE"})
    assert spans(sentence, "gold") == [("Kevin Durant", "PER"), ("Oracle Arena", "PLACE")]


def test_words_are_those_of_flair(read):
    text = "Paris-based @Kevin's #NBA… http://t.co/x"
    (sentence,) = read({"text": text})
    assert [token.text for token in sentence] == [token.text for token in Sentence(text)]


def test_offsets_count_the_characters_that_flair_drops(read):
    text = "\u200bI ❤\ufe0f New\u200bYork\u200b !"
    start, end = text.index("New"), text.index("York") + 4
    for entity in [(start, end), (start, end + 1)]:
        (sentence,) = read({"text": text, "entities": [{"start": entity[0], "end": entity[1], "type": "LOC"}]})
        assert spans(sentence) == [("NewYork", "LOC")]
        assert sentence_record(sentence, label_type="ner", scores=False)["entities"] == [
            {"start": start, "end": end, "type": "LOC"}
        ]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "an array"),
        ("7", "no object"),
        ('{"text": "a", "likes": NaN}', "not JSON compliant"),
        ('{"text": "a", "likes": 1e999}', "not JSON compliant"),
        ({}, "neither"),
        ({"text": "a", "tokens": ["a"]}, "both"),
        ({"tokens": ["a", ""]}, "neither"),
        ({"tokens": "a"}, "neither"),
        ({"text": "a", "image": 7}, "'image'"),
        ({"text": "a", "entities": {}}, "'entities'"),
        ({"text": "a", "objects": "a dog"}, "'objects'"),
        ({"id": 5, "text": "a", "objects": [{"label": "dog"}]}, "'objects' of post 5, object 1: .*'box'"),
        ('{"text": "\\ud83d"}', "surrogate"),
        ({"id": 5, "text": "Kevin", "entities": [{"start": 0, "end": 3, "type": "PER"}]}, "post 5.*'Kev'"),
        ({"text": "Kevin D.", "entities": [{"start": 0, "end": 6, "type": "PER"}]}, "'Kevin '"),
        ({"text": "Kevin", "entities": [{"start": 0, "end": 6, "type": "PER"}]}, "5 characters"),
        ({"tokens": ["Kevin"], "entities": [{"start": 0, "end": 2, "type": "PER"}]}, "1 words"),
        ({"text": "Kevin", "entities": [{"start": -5, "end": 5, "type": "PER"}]}, "runs out"),
        ({"text": "Kevin", "entities": [{"start": 0, "end": 0, "type": "PER"}]}, "empty"),
        ({"text": "Kevin", "entities": [{"start": 0, "end": "5", "type": "PER"}]}, "whole numbers"),
        ({"text": "Kevin", "entities": [{"start": 0, "end": 5}]}, "'type'"),
        ({"text": "Kevin", "entities": ["PER"]}, "whole numbers"),
        (
            {
                "tokens": ["a", "b"],
                "entities": [{"start": 0, "end": 2, "type": "X"}, {"start": 1, "end": 2, "type": "Y"}],
            },
            "overlaps",
        ),
        ({"tokens": ["a"], "entities": [{"start": 0, "end": 1, "type": "X", "score": 2}]}, "'score'"),
        ({"tokens": ["a"], "entities": [{"start": 0, "end": 1, "type": "X", "region": {"left": 0}}]}, "'region'"),
        ({"tokens": ["a"], "entities": [{"start": 0, "end": 1, "type": "X", "regions": [[0, 0, 2, 1]]}]}, "'regions'"),
        ({"tokens": ["a"], "entities": [{"start": 0, "end": 1, "type": "X", "regions": [[0, 0, 1]]}]}, "'regions'"),
        ({"tokens": ["a"], "entities": [{"start": 0, "end": 1, "type": "X", "regions": "all"}]}, "'regions'"),
        ({"tokens": ["a"], "entities": [{"start": 0, "end": 1, "type": "X", "grounded": 2}]}, "'grounded'"),
    ],
)
def test_a_bad_post_is_named_with_its_line(read, record, reason):
    with pytest.raises(PostFormatError, match=rf"posts.jsonl, line 2: .*{reason}"):
        read({"text": "fine"}, record)


def test_the_rest_of_a_file_is_not_lost_to_a_bad_post(read):
    errors = []
    sentences = read({"text": "first"}, {"id": "bad"}, {"text": "last"}, on_error=errors.append)
    assert [sentence.text for sentence in sentences] == ["first", "last"]
    assert "line 2" in str(errors[0])
    assert "'bad'" in str(errors[0])


def test_predictions_are_written_into_the_record_and_read_back(read, tmp_path):
    (sentence,) = read({**DURANT, "likes": 3})
    region = Region(0.25, 0.0, 0.75, 0.5, 0.875)
    sentence[0:2].add_label("predicted", "PER", 0.5, region=region)
    path = tmp_path / "predictions.jsonl"
    with path.open("wb") as file:
        assert write_jsonl_posts([sentence], file, label_type="predicted") == 1
    written = json.loads(path.read_text())
    assert {**written, "entities": None} == {**DURANT, "likes": 3, "entities": None}
    assert written["entities"] == [
        {
            "start": 0,
            "end": 12,
            "type": "PER",
            "score": 0.5,
            "region": {"left": 0.25, "top": 0.0, "right": 0.75, "bottom": 0.5, "score": 0.875},
        }
    ]
    (back,) = read_jsonl_sentences(path)
    label = back.get_label("ner")
    assert (label.value, label.score, label.metadata["region"]) == ("PER", 0.5, region)


def test_gold_regions_are_read_and_written_back(read, tmp_path):
    entities = [
        {"start": 0, "end": 1, "type": "PER", "regions": [[0.25, 0.0, 0.75, 0.5], [0.0, 0.0, 1.0, 1.0]]},
        {"start": 1, "end": 2, "type": "LOC", "regions": []},
        {"start": 2, "end": 3, "type": "LOC", "regions": None},
        {"start": 3, "end": 4, "type": "ORG", "grounded": 0.25},
    ]
    (sentence,) = read({"tokens": ["a", "b", "c", "d"], "entities": entities})
    known, absent, unknown, likely = (span.get_label("ner").metadata for span in sentence.get_spans("ner"))
    assert known["regions"] == (Region(0.25, 0.0, 0.75, 0.5), Region(0.0, 0.0, 1.0, 1.0))
    assert (absent["regions"], "regions" in unknown, likely) == ((), False, {"grounded": 0.25})
    path = tmp_path / "again.jsonl"
    with path.open("wb") as file:
        write_jsonl_posts([sentence], file, scores=False)
    entities[2].pop("regions")
    assert json.loads(path.read_text())["entities"] == entities


def test_a_sentence_of_ones_own_is_written_by_its_tokens():
    sentence = Sentence("Kevin Durant scores")
    sentence.add_metadata("image", "durant.jpg")
    sentence.add_metadata("ocr", "30")
    sentence.add_metadata("objects", [PictureObject("ball", 0.5, (0.0, 0.0, 0.5, 1.0), ("orange",))])
    sentence[0:2].add_label("ner", "PER")
    file = io.BytesIO()
    write_jsonl_posts([sentence], file, scores=False)
    assert json.loads(file.getvalue()) == {
        "tokens": ["Kevin", "Durant", "scores"],
        "image": "durant.jpg",
        "ocr": "30",
        "objects": [{"label": "ball", "score": 0.5, "box": [0.0, 0.0, 0.5, 1.0], "attributes": ["orange"]}],
        "entities": [{"start": 0, "end": 2, "type": "PER"}],
    }


TEXTS = st.text(st.sampled_from("aB .'-@#é☂️\u200b\ufe0f\u2028\u0080\u3000 \n"), max_size=30)


@given(TEXTS, st.data())
def test_any_words_of_any_text_come_back_at_the_same_offsets(text, data):
    sentence = record_sentence(parse_record(json.dumps({"text": text})), label_type="ner", label_name_map={})
    borders = data.draw(st.lists(st.integers(0, len(sentence)), unique=True, max_size=6)) if len(sentence) else []
    borders = sorted(borders)
    for first, last in zip(borders[::2], borders[1::2], strict=False):
        sentence[first:last].add_label("ner", "X")
    record = sentence_record(sentence, label_type="ner", scores=False)
    again = record_sentence(parse_record(json.dumps(record)), label_type="ner", label_name_map={})
    assert [(s[0].idx, s[-1].idx) for s in again.get_spans("ner")] == [
        (s[0].idx, s[-1].idx) for s in sentence.get_spans("ner")
    ]
    assert sentence_record(again, label_type="ner", scores=False) == record


def test_pictures_on_the_web_are_left_out_in_words(tmp_path, caplog):
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps({"text": "Oslo", "image": "https://example.org/a.jpg"}))
    (sentence,) = read_jsonl_sentences(path)
    assert not sentence.has_metadata("image")
    assert "1 of the pictures it names are web addresses, which are not fetched" in caplog.text
    (post,) = read_jsonl_posts(path)
    assert post.image == "https://example.org/a.jpg"


@pytest.mark.parametrize("field", ["image", "images"])
def test_several_pictures_keep_their_places_though_some_are_not_there(read, tmp_path, caplog, field):
    (tmp_path / "b.png").write_bytes(b"")
    record = {**DURANT, field: ["a.png", "b.png", "http://x.invalid/c.png"], "caption": ["a man", "a hall"]}
    (sentence,) = read(record)
    named = [str(tmp_path / "a.png"), str(tmp_path / "b.png"), "http://x.invalid/c.png"]
    assert (sentence.get_metadata("image"), sentence.get_metadata("image_id")) == (named, "a")
    assert sentence.get_metadata("caption") == ["a man", "a hall"]
    assert "1 of the pictures it names are web addresses" in caplog.text
    assert "1 of the pictures it names are not there" in caplog.text
    (without,) = read({**record, field: ["a.png", "d.png"]})
    assert not without.has_metadata("image")
    (one,) = read({**record, field: ["b.png"]})
    assert one.get_metadata("image") == named[1]


BOXES = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(10, 20)] * 2).map(lambda box: [edge / 20 for edge in box])


@given(gold=st.lists(st.tuples(st.integers(0, 2), BOXES), max_size=3), answer=st.tuples(st.integers(0, 2), BOXES))
def test_regions_on_any_picture_are_written_as_they_were_read(gold, answer):
    image, box = answer
    places = [{"image": number, "box": where} if number else where for number, where in gold]
    names = ("left", "top", "right", "bottom")
    region = {**dict(zip(names, box, strict=True)), "score": 0.5, **({"image": image} if image else {})}
    entity = {"start": 0, "end": 12, "type": "PER", "regions": places, "region": region}
    record = parse_record(json.dumps({**DURANT, "image": ["a.png", "b.png", "c.png"], "entities": [entity]}))
    sentence = record_sentence(record, label_type="ner", label_name_map={})
    metadata = sentence.get_spans("ner")[0].get_label("ner").metadata
    assert metadata["regions"] == tuple(Region(*where, image=number) for number, where in gold)
    assert metadata["region"] == Region(*box, 0.5, image)
    assert sentence_record(sentence, label_type="ner", scores=False) == record


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image": ["a.png", ""]}, "no string, nor a list"),
        ({"image": [1]}, "no string, nor a list"),
        ({"image": "a.png", "images": ["b.png"]}, "both 'image' and 'images'"),
        ({"image": ["a.png"] * 257}, "257 pictures, more than 256"),
        (
            {"objects": [{"label": "dog", "score": 1, "box": [0, 0, 1, 1], "image": 2}]},
            "picture 2, counted from 0, of 1",
        ),
        ({"objects": [{"label": "dog", "score": 1, "box": [0, 0, 1, 1], "image": True}]}, "whole number"),
        ({"regions": [{"image": 1, "box": [0, 0, 1, 1]}]}, "picture 1, counted from 0, of 1"),
        ({"regions": [{"image": -1, "box": [0, 0, 1, 1]}]}, "a box on another picture"),
        ({"region": {"left": 0, "top": 0, "right": 1, "bottom": 1, "score": 1, "image": 0.5}}, "whole number"),
    ],
)
def test_what_several_pictures_cannot_be_is_refused_in_words(read, wrong, message):
    entity = {name: wrong[name] for name in ("region", "regions") if name in wrong}
    post = {name: value for name, value in wrong.items() if name not in entity}
    with pytest.raises(PostFormatError, match=message):
        read({**DURANT, **post, "entities": [{**DURANT["entities"][0], **entity}]})


def test_rows_have_several_pictures_as_bytes_and_paths(tmp_path):
    dog = {"label": "dog", "score": 1, "box": [0, 0, 1, 1]}
    images = [{"bytes": b"one", "path": "x.png"}, {"bytes": None, "path": "b.png"}, b"two"]
    row = {"id": 7, "text": "Kevin", "objects": [{**dog, "image": 2}], "images": images, "image": None}
    post = parsed_row(3, row, source="posts.parquet", folder=tmp_path)
    assert (post.images, post.image_id) == ((b"one", str(tmp_path / "b.png"), b"two"), "7")
    assert post.record == {name: row[name] for name in ("id", "text", "objects")}
    alone = parsed_row(3, {"text": "Kevin", "image": b"one"}, source="posts.parquet", folder=tmp_path)
    assert (alone.image, alone.image_id, alone.record) == (b"one", "3", {"text": "Kevin"})
