"""`evaluate --predictions`: what any system has found, scored on grounded posts."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from flair_espvr.commands.main import main
from flair_espvr.commands.options import warn_without_images

BOX = [0.0, 0.0, 0.5, 1.0]


def write(path: Path, *entities: dict[str, object]) -> Path:
    words = ["kevin", "sings", "in", "oakland"]
    posts = [{"tokens": words, "entities": [{**entity, "end": int(str(entity["start"])) + 1}]} for entity in entities]
    path.write_text("\n".join(map(json.dumps, posts)))
    return path


def test_anybodys_predictions_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown, absent = {"start": 0, "type": "PER", "regions": [BOX]}, {"start": 3, "type": "LOC", "regions": []}
    gold = write(tmp_path / "gold.jsonl", shown, absent)
    region = dict(zip(("left", "top", "right", "bottom", "score"), [*BOX, 0.7], strict=True))
    found = write(
        tmp_path / "found.jsonl",
        {"start": 0, "type": "PER", "score": 0.9, "region": region, "grounded": 0.8},
        {"start": 3, "type": "ORG", "score": 0.9, "region": None, "grounded": 0.1},
    )
    assert main(["evaluate", str(gold), "--predictions", str(found), "--out", str(tmp_path / "kept.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| EEG | 100.00 | 100.00 | 100.00 | 2 | 2 | 2 |") == 2  # in both readings
    assert printed.count("| GMNER | 50.00 | 50.00 | 50.00 | 2 | 2 | 1 |") == 2
    assert "average precision 100.00" in printed
    first, second = map(json.loads, (tmp_path / "kept.jsonl").read_text().splitlines())
    assert first == {
        "id": "1",
        "text": "kevin sings in oakland",
        "words": ["kevin", "sings", "in", "oakland"],
        "gold": [[0, 1, "PER"]],
        "predicted": [[0, 1, "PER"]],
    }
    assert (second["gold"], second["predicted"]) == ([[3, 4, "LOC"]], [[3, 4, "ORG"]])

    page = tmp_path / "page.html"
    assert main(["evaluate", str(gold), "--predictions", str(found), "--out", str(page)]) == 0
    text = BeautifulSoup(page.read_text(encoding="utf-8"), "lxml").get_text(" ")
    assert ", test: right, wrong and missed" in text
    assert "Span-F1 50.00" in text
    assert "✗" in text


def test_a_page_shows_no_picture_outside_of_the_folder_of_the_posts(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    (tmp_path / "posts" / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "posts" / "own.png")
    (tmp_path / "posts" / "link.png").symlink_to(tmp_path / "private.png")
    named = ["../private.png", str(tmp_path / "private.png"), "link.png", "own.png"]
    gold, page = tmp_path / "posts" / "gold.jsonl", tmp_path / "page.html"
    gold.write_text("\n".join(json.dumps({"text": "a", "image": name, "entities": []}) for name in named))

    def shown(*options: str) -> int:
        assert main(["evaluate", str(gold), "--predictions", str(gold), "--out", str(page), *options]) == 0
        return page.read_text(encoding="utf-8").count("data:image/jpeg")

    assert shown() == 1
    assert "outside of the folder" in page.read_text(encoding="utf-8")
    assert shown("--images-below", str(tmp_path)) == 4


def test_posts_without_regions_have_no_grounding_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = write(tmp_path / "gold.jsonl", {"start": 0, "type": "PER"})
    assert main(["evaluate", str(gold), "--predictions", str(gold)]) == 0
    assert "GMNER" not in capsys.readouterr().out


@pytest.mark.parametrize("option", ["captions", "tags", "ocr", "knowledge", "objects"])
def test_whatever_is_known_of_pictures_is_read(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = write(tmp_path / "gold.jsonl", {"start": 0, "type": "PER"})
    known = tmp_path / "known.jsonl"
    known.write_text('{"image_id": "1", "captions": 7}\n')
    assert main(["evaluate", str(gold), "--predictions", str(gold), f"--{option}", str(known)]) == 1
    assert f"{known}, line 1: expected" in capsys.readouterr().err


def test_a_model_that_reads_pictures_and_is_given_none_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    reads, reads_none = (SimpleNamespace(region_embeddings=regions, prefetch=list) for regions in (object(), None))
    for tagger, any_image in ((reads, True), (reads_none, False), (object(), False)):
        warn_without_images(tagger, any_image)
    assert capsys.readouterr().err == ""
    warn_without_images(reads, any_image=False)
    assert "the model reads pictures, and no post has one" in capsys.readouterr().err


def test_predictions_of_other_posts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = write(tmp_path / "gold.jsonl", {"start": 0, "type": "PER"}, {"start": 0, "type": "PER"})
    fewer = write(tmp_path / "fewer.jsonl", {"start": 0, "type": "PER"})
    assert main(["evaluate", str(gold), "--predictions", str(fewer)]) == 1
    assert "post 2 should be 'kevin sings in oakland', and is no more" in capsys.readouterr().err
    assert main(["evaluate", str(gold)]) == 1
    assert "expected either MODEL or --predictions FILE" in capsys.readouterr().err
    assert main(["evaluate", "model.pt", str(gold), "--predictions", str(gold)]) == 1
