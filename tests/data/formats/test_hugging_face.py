"""Data sets of Hugging Face: what `datasets` makes is read, and it reads what is written. Nothing is fetched."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flair_espvr.commands.main import main
from flair_espvr.data import MultimodalCorpus
from flair_espvr.data.formats.hugging_face import read_dataset, write_dataset_posts
from flair_espvr.errors import ConfigurationError, PostFormatError

datasets = pytest.importorskip("datasets", reason="datasets is not installed (the dev extra has it)")

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "red.png", tmp_path / "blue.jpg"]
    for path, colour in zip(paths, ("red", "blue"), strict=True):
        Image.new("RGB", (8, 6), colour).save(path)
    return paths


@pytest.fixture
def published(pictures: list[Path]) -> Any:
    """As data sets are published: words, numbers of tags, pictures."""
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=NAMES)),
            "image": datasets.Image(),
        }
    )
    words = [["Kevin", "Durant", "enters", "Oakland"], ["nothing"]]
    rows = {"tokens": words, "ner_tags": [[1, 2, 0, 3], [0]], "image": [str(pictures[0]), None]}
    other = {"tokens": [["Oakland"]], "ner_tags": [[3]], "image": [str(pictures[1])]}
    splits = {"train": rows, "validation": other, "test": other}
    made = {name: datasets.Dataset.from_dict(split, features=features) for name, split in splits.items()}
    return datasets.DatasetDict(made)


def test_a_published_data_set_becomes_a_corpus(published: Any, tmp_path: Path) -> None:
    assert write_dataset_posts(published, tmp_path / "posts") == {"train": 2, "dev": 1, "test": 1}
    corpus = MultimodalCorpus(tmp_path / "posts")
    entities = [[(span.text, span.tag) for span in post.get_spans("ner")] for post in corpus.train]
    assert entities == [[("Kevin Durant", "PER"), ("Oakland", "LOC")], []]
    image = Path(corpus.train[0].get_metadata("image"))
    assert image.suffix == ".png"
    assert np.array_equal(np.asarray(Image.open(image)), np.asarray(published["train"][0]["image"]))
    assert not corpus.train[1].has_metadata("image")
    with pytest.raises(ConfigurationError, match="is there already"):
        write_dataset_posts(published, tmp_path / "posts")


def test_there_and_back_through_the_command(published: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published.save_to_disk(tmp_path / "saved")
    assert main(["convert", str(tmp_path / "saved"), str(tmp_path / "posts")]) == 0
    assert "train: 2 posts, dev: 1 posts, test: 1 posts" in capsys.readouterr().out
    (tmp_path / "posts" / "captions.tsv").write_text("train-1\ta man\n")
    assert main(["convert", str(tmp_path / "posts"), str(tmp_path / "again"), "--to", "datasets"]) == 0
    again = datasets.load_from_disk(str(tmp_path / "again"))
    assert list(again) == ["train", "validation", "test"]
    for name, split in again.items():
        assert split["tokens"] == published[name]["tokens"]
        labels = split.features["ner_tags"].feature
        tags = [[NAMES[tag] for tag in row] for row in published[name]["ner_tags"]]
        assert [labels.int2str(list(row)) for row in split["ner_tags"]] == tags
        for ours, theirs in zip(split["image"], published[name]["image"], strict=True):
            assert (ours is None and theirs is None) or np.array_equal(np.asarray(ours), np.asarray(theirs))
    assert list(again["train"]["caption"]) == ["a man", None]


def test_posts_with_several_pictures(pictures: list[Path], tmp_path: Path) -> None:
    records = [
        {"tokens": ["a"], "image": [pictures[0].name, pictures[1].name], "caption": ["red", "blue"]},
        {"tokens": ["b"], "image": pictures[1].name},
        {"tokens": ["c"]},
    ]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    made = read_dataset(tmp_path / "posts.jsonl")
    assert [[picture.size for picture in row] for row in made["train"]["images"]] == [[(8, 6)] * 2, [(8, 6)], []]
    assert made["train"]["caption"][0] == "red blue"
    write_dataset_posts(made, tmp_path / "again")
    again = [json.loads(line) for line in (tmp_path / "again" / "train.jsonl").read_text().splitlines()]
    names = ["images/train-1-0.png", "images/train-1-1.jpeg"]
    assert [record.get("image") for record in again] == [names, "images/train-2.jpeg", None]
    assert (tmp_path / "again" / names[0]).read_bytes() == pictures[0].read_bytes()


def test_columns_of_other_names_and_tags_as_text(tmp_path: Path) -> None:
    rows = [{"words": ["Oakland", "Bridge"], "labels": ["B-LOC", "E-LOC"], "caption": "a bridge"}]
    made = datasets.Dataset.from_list(rows)
    write_dataset_posts(made, tmp_path / "posts", columns={"tokens": "words", "ner_tags": "labels"})
    record = json.loads((tmp_path / "posts" / "train.jsonl").read_text())
    assert record == {
        "tokens": ["Oakland", "Bridge"],
        "caption": "a bridge",
        "entities": [{"start": 0, "end": 2, "type": "LOC"}],
    }
    with pytest.raises(ConfigurationError, match="--column tokens=NAME"):
        write_dataset_posts(made, tmp_path / "other")
    with pytest.raises(ConfigurationError, match="no column word; there are"):
        write_dataset_posts(made, tmp_path / "other", columns={"tokens": "word"})
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("tags", [[0, 1], ["B-LOC"], ["LOC", "O"]])
def test_tags_that_are_none(tags: list[Any], tmp_path: Path) -> None:
    made = datasets.Dataset.from_list([{"tokens": ["Oakland", "Bridge"], "ner_tags": tags}])
    with pytest.raises(PostFormatError, match="train, row 1: expected for each of tokens one of ner_tags"):
        write_dataset_posts(made, tmp_path / "posts")


def test_a_folder_without_posts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected files of posts"):
        read_dataset(tmp_path)
