"""Posts, pictures, captions and corpora out of the ordinary, through the tagger itself."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Corpus, Sentence
from flair.trainers import ModelTrainer
from PIL import Image

from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, MultimodalCorpus

Build = Callable[..., ESPVRTagger]

TEXTS: dict[str, list[str]] = {
    "300 words": ["kevin", "plays"] * 150,
    "one emoji": ["🏀"],
    "an emoji of seven code points": ["👨‍👩‍👧‍👦"],
    "invisible characters only": ["\u200b", "\ufe0f", "\u200d", "\u00ad", "\u2060"],
    "right to left": ["כדורסלן", "משחק", "بأوكلاند", "\u202eabc\u202c"],
    "CJK": ["凯文杜兰特", "在", "奥克兰", "打球", "ケビン", "케빈"],
    "a word of 10,000 letters": ["k" * 10_000],
    "words of every kind of space": ["\u00a0", "\u3000", "\u2028", "\u0085", "x"],
    "combining marks": ["e\u0301" * 50, "Z\u0351\u036b\u0343\u032a\u0302\u036b\u033d\u034f\u0334\u0319"],
    "control characters": ["\0", "\x1b[31m", "\x7f", "\r"],
    "markers of the encoder": ["[CLS]", "[SEP]", "[PAD]", "[FLERT]", "[MASK]"],
}

CAPTIONS = {
    "longer than the encoder": "a man and a dog " * 2_000,
    "one word longer than the encoder": "m" * 5_000,
    "spaces only": " \t\n ",
    "empty": "",
    "invisible": "\u200b\u200b",
    "right to left": "رجل يلعب",
    "markers of the encoder": "[SEP] [CLS] a man [SEP]",
}


def png(width: int, height: int) -> bytes:
    """A PNG of grey zeros that claims its size, made without making the picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(height * (width + 1), 1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PICTURES: dict[str, Any] = {
    "1 x 1": png(1, 1),
    "1 x 20,000": png(1, 20_000),
    "20,000 x 1": png(20_000, 1),
    "30,000 x 30,000": png(30_000, 30_000),
    "no bytes": b"",
    "a text": b"<html>404</html>",
    "no file": "nowhere/\U0001f3c0.jpg",
    "an opened one": Image.new("RGBA", (3, 900)),
}
UNREADABLE = {"30,000 x 30,000", "no bytes", "a text", "no file"}


def post(words: list[str], **metadata: Any) -> Sentence:
    sentence = Sentence(list(words))
    for key, value in metadata.items():
        sentence.add_metadata(key, value)
    return sentence


def see_entities(tagger: ESPVRTagger) -> None:
    """Makes both CRFs find an entity of its own in every word, so that nothing is skipped for want of one."""
    with torch.no_grad():
        for emissions, names in (
            (tagger.network.span_emissions, "BIO"),
            (tagger.network.tag_emissions, [name[0] for name in tagger.tags.names]),
        ):
            emissions.weight.zero_()
            emissions.bias.copy_(torch.tensor([50.0 if name == "B" else 0.0 for name in names]))


def found(sentence: Sentence) -> list[tuple[Any, ...]]:
    return [
        (label.data_point[0].idx, label.data_point[-1].idx, label.value, round(label.score, 4))
        for label in sentence.get_labels("found")
    ]


@pytest.fixture
def odd_posts(pictures: list[Path]) -> list[Sentence]:
    """All of the oddities above, each once, with the empty post and an ordinary one."""
    return [
        *(post(words, image=pictures[0], caption="a man") for words in TEXTS.values()),
        *(post(["hi", "kevin"], image=pictures[1], caption=caption) for caption in CAPTIONS.values()),
        *(post(["hi", "kevin"], image=picture) for picture in PICTURES.values()),
        Sentence(""),
        post(["kevin", "in", "oakland"]),
    ]


@pytest.mark.parametrize("entities", [False, True], ids=["as it is", "an entity in every word"])
def test_mixed_batches_give_each_post_what_it_gets_alone(
    build: Build, odd_posts: list[Sentence], entities: bool
) -> None:
    tagger = build()
    if entities:
        see_entities(tagger)
    tagger.predict(odd_posts, mini_batch_size=len(odd_posts), label_name="found")
    together = [found(sentence) for sentence in odd_posts]
    for sentence, expected in zip(odd_posts, together, strict=True):
        tagger.predict([sentence], label_name="found")
        alone = found(sentence)
        assert [entity[:3] for entity in alone] == [entity[:3] for entity in expected]
        assert [entity[3] for entity in alone] == pytest.approx([entity[3] for entity in expected], abs=2e-3)
        assert all(0.0 <= entity[3] <= 1.0 for entity in alone)
        if entities:
            assert len(alone) == len(sentence)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(build: Build, name: str) -> None:
    tagger = build()
    see_entities(tagger)
    sentence = post(["kevin"], image=PICTURES[name])
    assert tagger.region_embeddings is not None
    tagger.predict(sentence, label_name="found")
    assert sentence.has_metadata("image_error") == (name in UNREADABLE)
    assert ("region" in sentence.get_labels("found")[0].metadata) == (name not in UNREADABLE)


def test_5000_words(build: Build, pictures: list[Path]) -> None:
    """Beside a short post, which is padded to the same length and gets what it gets alone."""
    tagger = build()
    long, short = post(["kevin", "plays"] * 2_500, image=pictures[0], caption="a man"), post(["hi", "kevin"])
    tagger.predict(short, label_name="found")
    alone = found(short)
    tagger.predict([long, short], max_tokens=2 * 5_000, label_name="found")
    assert [entity[:3] for entity in found(short)] == [entity[:3] for entity in alone]
    assert all(1 <= first <= last <= 5_000 and 0.0 <= score <= 1.0 for first, last, _, score in found(long))


def test_300_entities(build: Build, pictures: list[Path]) -> None:
    tagger = build()
    see_entities(tagger)
    sentence = post(["kevin"] * 300, image=pictures[0])
    tagger.predict(sentence, label_name="found")
    spans = sentence.get_spans("found")
    assert [(span[0].idx, len(span)) for span in spans] == [(place, 1) for place in range(1, 301)]
    assert all("region" in span.get_label("found").metadata for span in spans)


def test_learning_from_odd_posts(build: Build, odd_posts: list[Sentence], tmp_path: Path) -> None:
    words = [sentence for sentence in odd_posts if len(sentence)]  # Flair's trainer stumbles over posts without any
    for sentence in words:
        sentence[0:1].add_label("ner", "PER")
    tagger = build()
    before = {name: value.clone() for name, value in tagger.state_dict().items()}
    ModelTrainer(tagger, Corpus(train=words, name="odd")).fine_tune(
        tmp_path, max_epochs=1, mini_batch_size=4, learning_rate=1e-3, save_final_model=False, create_file_logs=False
    )
    assert any(not torch.equal(value, before[name]) for name, value in tagger.state_dict().items())
    assert all(value.isfinite().all() for value in tagger.state_dict().values())


NAMES = ["first name", "geo-loc", "B-x", "O-", "人物", "мѣсто", "a\u200bb", "<unk>s", "x/y", "'\"\\"]


@pytest.fixture
def named_corpus(tmp_path: Path) -> MultimodalCorpus:
    """One post for each odd name of a type, as column files have them."""
    for split in ("train", "valid", "test"):
        lines = [f"IMGID:{number}\nkevin\tB-{name}\njones\tI-{name}\nplays\tO\n" for number, name in enumerate(NAMES)]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines), encoding="utf-8")
    return MultimodalCorpus(tmp_path)


def test_names_of_types(build: Build, named_corpus: MultimodalCorpus, tmp_path: Path) -> None:
    dictionary = named_corpus.make_label_dictionary("ner", add_unk=False)
    tagger = build(label_dictionary=dictionary, regions="none")
    assert sorted(tagger.tags.types) == sorted(NAMES)
    ModelTrainer(tagger, named_corpus).fine_tune(
        tmp_path / "run", max_epochs=1, learning_rate=1e-3, save_final_model=False, create_file_logs=False
    )
    posts = list(named_corpus.get_all_sentences())
    tagger.save(tmp_path / "model.pt")
    tagger.save_pretrained(tmp_path / "export")
    for loaded in (ESPVRTagger.load(tmp_path / "model.pt"), ESPVRTagger.from_pretrained(tmp_path / "export")):
        assert isinstance(loaded, ESPVRTagger)
        assert loaded.tags.names == tagger.tags.names
        tagger.predict(posts, label_name="found")
        expected = [found(sentence) for sentence in posts]
        loaded.predict(posts, label_name="found")
        assert [found(sentence) for sentence in posts] == expected


def labelled(*types: str) -> list[Sentence]:
    sentences = []
    for type_ in types:
        sentence = Sentence(["kevin", "plays"])
        if type_:
            sentence[0:1].add_label("ner", type_)
        sentences.append(sentence)
    return sentences


@pytest.mark.parametrize(
    "splits",
    [
        {"train": labelled("PER", "LOC"), "dev": [], "test": labelled("PER")},
        {"train": labelled("PER", "LOC"), "dev": labelled("PER"), "test": []},
        {"train": labelled("PER", "PER"), "dev": labelled("PER"), "test": labelled("PER")},
        {"train": labelled("", ""), "dev": labelled(""), "test": labelled("")},
        {"train": labelled("PER"), "dev": labelled("ORG"), "test": labelled("MISC", "", "PER")},
    ],
    ids=["no development posts", "no test posts", "one type", "no entity", "types that training has not"],
)
def test_corpora(build: Build, tmp_path: Path, splits: dict[str, list[Sentence]]) -> None:
    corpus = Corpus(**splits, sample_missing_splits=False, name="odd")  # type: ignore[arg-type]
    types = {label.value for sentence in splits["train"] for label in sentence.get_labels("ner")}
    arguments = {"label_dictionary": corpus.make_label_dictionary("ner", add_unk=False)} if len(types) == 1 else {}
    tagger = build(regions="none", **arguments)
    result = ModelTrainer(tagger, corpus).fine_tune(
        tmp_path, max_epochs=1, learning_rate=1e-3, save_final_model=False, create_file_logs=False
    )
    assert 0.0 <= result["test_score"] <= 1.0
    if splits["test"]:
        evaluation = tagger.evaluate(splits["test"], gold_label_type="ner")
        assert 0.0 <= evaluation.main_score <= 1.0


def test_an_encoder_without_room_for_the_post(build: Build, tiny_bert: Path, pictures: list[Path]) -> None:
    """What does not fit the encoder gets zero vectors, and still one tag a word."""
    tagger = build(embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), max_caption_tokens=3))
    see_entities(tagger)
    sentence = post(["kevin"] * 100, image=pictures[0], caption=CAPTIONS["longer than the encoder"])
    tagger.predict(sentence, label_name="found")
    assert len(found(sentence)) == 100
