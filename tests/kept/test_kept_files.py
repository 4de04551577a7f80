"""Files that version 0.1.0 wrote still load, and say what they said then (`make.py` tells how they were made)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Sentence

from flair_espvr import ESPVRTagger, Region
from flair_espvr.images.store.region_store import RegionStore

KEPT = Path(__file__).parent
EXPECTED: dict[str, Any] = json.loads((KEPT / "predictions.json").read_text(encoding="utf-8"))

POSTS = (
    ("kevin plays in oakland", "0", "a man"),
    ("mary jane sings", "1", None),
    ("we are in new york", None, "a street"),
    ("no names here", "2", None),
    ("oakland", "3", "a town"),
    ("mary is in oakland now", "1", "a woman"),
)


def predictions(tagger: ESPVRTagger) -> list[Any]:
    sentences = []
    for words, image, caption in POSTS:
        sentence = Sentence(words.split())
        if image is not None:
            sentence.add_metadata("image", str(KEPT / "images" / f"{image}.png"))
        if caption is not None:
            sentence.add_metadata("caption", caption)
        sentences.append(sentence)
    tagger.predict(sentences)
    found = []
    for sentence in sentences:
        labels = []
        for label in sentence.get_labels("ner"):
            region = label.metadata.get("region")
            place = region and [region.left, region.top, region.right, region.bottom, region.score]
            labels.append([label.unlabeled_identifier, label.value, label.score, place])
        found.append(labels)
    return found


def close_to(value: Any) -> Any:
    """Tags and edges to the letter, scores up to what another processor's arithmetic changes."""
    if isinstance(value, list):
        return [close_to(item) for item in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


@pytest.mark.parametrize("name", ["model", "export", "unfinished"])
def test_a_kept_model_predicts_what_it_did(name: str) -> None:
    if name == "export":
        tagger = ESPVRTagger.from_pretrained(KEPT / "export")
    else:
        tagger = ESPVRTagger.load(KEPT / ("model.pt" if name == "model" else "unfinished/best-model.pt"))
    assert predictions(tagger) == close_to(EXPECTED[name])


def test_a_kept_model_has_a_head_for_places_that_can_learn() -> None:
    tagger = ESPVRTagger.load(KEPT / "model.pt").train()
    assert tagger.grounding is not None
    assert not tagger.grounding.learned
    sentence = Sentence(["oakland"])
    sentence.add_metadata("image", str(KEPT / "images" / "3.png"))
    sentence[0:1].add_label("ner", "LOC", regions=(Region(0.0, 0.0, 0.5, 0.5),))
    optimizer = torch.optim.Adam(tagger.grounding.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss, _ = tagger.forward_loss([sentence])
        loss.backward()
        optimizer.step()
        losses.append(float(tagger.last_losses["regions"]))
    assert losses[-1] < 0.7 * losses[0] < 0.7


def test_a_kept_store_is_whole_and_serves_the_kept_model(tmp_path: Path) -> None:
    shutil.copytree(KEPT / "store", tmp_path / "store")  # LMDB puts its lock file beside
    store = RegionStore(tmp_path / "store")
    assert sorted(key.hex() for key in store.keys()) == EXPECTED["store"]  # noqa: SIM118
    assert store.verify() == []
    tagger = ESPVRTagger.load(KEPT / "model.pt")
    assert tagger.region_embeddings is not None
    tagger.region_embeddings.use_store(tmp_path / "store", read_only=True)
    assert predictions(tagger) == close_to(EXPECTED["model"])
