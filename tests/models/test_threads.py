"""One tagger called from many threads gives each the answer that it would have had alone."""

import gc
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flair.data import Sentence
from PIL import Image

from flair_espvr import ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.embeddings.image import regions as image_regions
from flair_espvr.errors import BadImageError

THREADS = 8


def post(number: int, images: list[Path]) -> Sentence:
    sentence = Sentence(["mary", "jane", *["sings"] * (number % 5), "in", "oakland"])
    if number % 3:
        sentence.add_metadata("image", images[number % len(images)])
    if number % 2:
        sentence.add_metadata("caption", "a woman " * (number % 4))
    return sentence


def answers(sentences: list[Sentence]) -> list[Any]:
    return [
        (label.unlabeled_identifier, label.value, round(label.score, 4), str(label.metadata.get("region")))
        for sentence in sentences
        for label in sentence.get_labels("found")
    ]


@pytest.mark.parametrize("training", [False, True], ids=["at rest", "in training mode"])
def test_eight_threads(build: Callable[..., ESPVRTagger], pictures: list[Path], tmp_path: Path, training: bool) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    images = [*pictures, broken]
    tagger = build()
    tagger.network.tag_emissions.bias.data[1] += 1.0  # an entity here and there
    batches = [[post(3 * number + offset, images) for offset in range(3)] for number in range(100)]
    expected = []
    for batch in batches:
        tagger.predict(batch, label_name="found")
        expected.append(answers(batch))
    assert sum(map(len, expected)) > 100

    tagger.train(training)
    again = [[post(3 * number + offset, images) for offset in range(3)] for number in range(100)]

    def predict(number: int) -> list[Any]:
        if number % 10 == 0:
            tagger.evaluate([post(number, images)], gold_label_type="ner", mini_batch_size=1)
        tagger.predict(again[number], label_name="found", mini_batch_size=2 if number % 4 else 32)
        return answers(again[number])

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(predict, range(100)))
    for mine, alone in zip(found, expected, strict=True):
        assert [entity[:2] for entity in mine] == [entity[:2] for entity in alone]
        assert [entity[2] for entity in mine] == pytest.approx([entity[2] for entity in alone], abs=2e-3)
    assert tagger.training == training


def test_the_backbone_is_built_once_and_a_store_filled_by_all(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, region_embeddings: ImageRegionEmbeddings
) -> None:
    built = []
    backbone = image_regions.Backbone

    def noted(*arguments: Any, **options: Any) -> Any:
        built.append(1)
        return backbone(*arguments, **options)

    monkeypatch.setattr(image_regions, "Backbone", noted)
    embeddings = ImageRegionEmbeddings.from_params(region_embeddings.to_params())
    embeddings.use_store(tmp_path / "store")

    def regions(number: int) -> Any:
        return embeddings.regions([post(3 * number + 1, pictures)]).regions

    with ThreadPoolExecutor(THREADS) as threads:
        together = list(threads.map(regions, range(40)))
    assert len(built) == 1
    for number, tensor in enumerate(together):
        expected = region_embeddings.regions([post(3 * number + 1, pictures)]).regions
        torch.testing.assert_close(tensor, expected, rtol=2e-3, atol=2e-3)  # a last bit of float16


def test_unreadable_images_leave_nothing_but_their_reason(
    region_embeddings: ImageRegionEmbeddings, tmp_path: Path
) -> None:
    """35 truncated JPEGs of a megabyte left 40 MB behind: their errors held on to bytes and decoded pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg", quality=95)
    content = (tmp_path / "whole.jpg").read_bytes()
    assert len(content) > 900_000
    embeddings = ImageRegionEmbeddings.from_params(region_embeddings.to_params())
    embeddings.regions([post(1, [tmp_path / "whole.jpg"])])
    tracemalloc.start()
    for number in range(35):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(content[: len(content) * 2 // 3 + number])
        sentence = Sentence(["oakland"])
        sentence.add_metadata("image", path)
        embeddings.regions([sentence])
        assert "truncated" in sentence.get_metadata("image_error")
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000
    assert not [item for item in gc.get_objects() if type(item) is BadImageError]
