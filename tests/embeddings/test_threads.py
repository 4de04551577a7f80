"""Embeddings that many threads share give each what it would have had alone."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import flair
import pytest
import torch
from flair.data import Sentence

from flair_espvr import CaptionedTransformerEmbeddings, ImageRegionEmbeddings
from flair_espvr.embeddings.image import backbone as backbones
from flair_espvr.errors import BadImageError
from flair_espvr.images.store.region_store import RegionStore

Result = TypeVar("Result")
THREADS = 8


@pytest.fixture(autouse=True)
def _many_switches() -> Iterator[None]:
    """Threads take turns a hundred times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    yield
    sys.setswitchinterval(usual)


def at_the_same_time(work: Callable[[int], Result]) -> list[Result]:
    """What `work(0)` to `work(THREADS - 1)` give, all begun at one moment."""
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> Result:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(begin, range(THREADS)))


def batch(number: int) -> list[Sentence]:
    sentences = [Sentence(["kevin"] * (1 + (number + offset) % 12)) for offset in range(4)]
    for sentence in sentences[number % 2 :: 2]:
        sentence.add_metadata("caption", "a man " * (1 + number % 3))
    return sentences


@pytest.mark.parametrize("limited", [False, True], ids=["free", "a tokenizer set to cut and pad"])
def test_word_vectors(tiny_bert: Path, limited: bool) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert)).eval()
    with torch.no_grad():
        expected = [embeddings.embed_batch(batch(number)) for number in range(30)]

    def vectors(thread: int) -> list[torch.Tensor]:
        with torch.no_grad():
            return [embeddings.embed_batch(batch(number)) for number in range(30)]

    for _ in range(5):
        if limited:
            embeddings.tokenizer.backend_tokenizer.enable_truncation(3)
            embeddings.tokenizer.backend_tokenizer.enable_padding(length=20)
        for found in at_the_same_time(vectors):
            assert all(torch.allclose(mine, alone, atol=1e-5) for mine, alone in zip(found, expected, strict=True))


def test_a_tokenizer_is_freed_once_and_never_while_others_read(tiny_bert: Path, monkeypatch: Any) -> None:
    """Who waited for the lock finds the limits gone: changing them again would fail beside those who read."""
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert)).eval()
    backend = SlowBackend(embeddings.tokenizer.backend_tokenizer)
    monkeypatch.setattr(type(embeddings.tokenizer), "backend_tokenizer", property(lambda tokenizer: backend))
    backend.enable_truncation(3)
    at_the_same_time(lambda thread: embeddings.prepare_tensors(batch(thread)))
    assert backend.freed == 1


class SlowBackend:
    """A tokenizer's backend that lets all threads see its limits before the first of them takes these away."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._looking = threading.Barrier(THREADS)
        self._looked = threading.local()
        self.freed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    @property
    def truncation(self) -> Any:
        seen = self._backend.truncation
        if not hasattr(self._looked, "before"):
            self._looked.before = True
            self._looking.wait()
        return seen

    def no_truncation(self) -> None:
        self.freed += 1
        self._backend.no_truncation()


def image_post(image: Path) -> Sentence:
    sentence = Sentence("kevin")
    sentence.add_metadata("image", image)
    return sentence


def test_region_vectors_with_a_store_that_fills(
    region_embeddings: ImageRegionEmbeddings, pictures: list[Path], tmp_path: Path, caplog: Any
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    sources = [*pictures, broken]
    expected = [region_embeddings.regions([image_post(source)]).regions for source in sources]
    embeddings = ImageRegionEmbeddings.from_params(region_embeddings.to_params())
    embeddings.use_store(tmp_path / "store")

    def regions(thread: int) -> list[tuple[int, torch.Tensor, bool]]:
        found = []
        for number in range(40):
            chosen = (thread + number) % len(sources)
            sentence = image_post(sources[chosen])
            features = embeddings.regions([sentence])
            found.append((chosen, features.regions, sentence.has_metadata("image_error")))
        return found

    caplog.clear()
    with caplog.at_level("WARNING", logger="flair"):
        together = at_the_same_time(regions)
    for found in together:
        for chosen, tensor, failed in found:
            torch.testing.assert_close(tensor, expected[chosen], rtol=2e-3, atol=2e-3)  # a last bit of float16
            assert failed == (sources[chosen] == broken)
    assert len(RegionStore(tmp_path / "store")) == len(pictures)
    assert [record.getMessage() for record in caplog.records if str(broken) in record.getMessage()] == [
        f"Ignoring unreadable image: {broken}: is not a picture of a format that is read "
        "(JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIF)"
    ]


def test_copies_of_an_unreadable_image_are_reported_by_their_own_names(
    region_embeddings: ImageRegionEmbeddings, tmp_path: Path, caplog: Any
) -> None:
    embeddings = ImageRegionEmbeddings.from_params(region_embeddings.to_params())
    copies = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for copy in copies:
        copy.write_bytes(b"no picture, twice")
    with caplog.at_level("WARNING", logger="flair"):
        embeddings.regions([image_post(copy) for copy in copies])
    assert all(any(str(copy) in record.getMessage() for record in caplog.records) for copy in copies)


def test_an_error_that_was_dealt_with_is_freed_at_once(
    region_embeddings: ImageRegionEmbeddings, pictures: list[Path], tmp_path: Path
) -> None:
    """A circle through its traceback would keep the file's bytes until the next collection."""
    strict = ImageRegionEmbeddings.from_params({**region_embeddings.to_params(), "on_bad_image": "raise"})
    (tmp_path / "cut.png").write_bytes(pictures[0].read_bytes()[:60])
    gc.collect()
    gc.disable()
    try:
        for source in (tmp_path / "none.jpg", tmp_path / "cut.png"):
            try:
                strict.regions([image_post(source)])
            except BadImageError as error:
                kept = weakref.ref(error)
            assert kept() is None
    finally:
        gc.enable()


def test_a_backbone_is_measured_once(region_embeddings: ImageRegionEmbeddings, monkeypatch: Any) -> None:
    """Its hooks would otherwise come and go under the feet of threads that compute."""
    embeddings = ImageRegionEmbeddings.from_params(region_embeddings.to_params())
    built = embeddings._built_backbone()
    measured, measure = [], backbones.images_at_once
    monkeypatch.setattr(backbones, "images_at_once", lambda *model: measured.append(1) or measure(*model))
    pixels = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    encoded = at_the_same_time(lambda thread: built.encode(pixels, flair.device))
    assert all(torch.allclose(mine, encoded[0], rtol=2e-3, atol=2e-3) for mine in encoded)
    assert len(measured) <= 1  # none on a GPU


def test_many_threads_add_to_a_store(region_embeddings: ImageRegionEmbeddings, tmp_path: Path) -> None:
    store = RegionStore(tmp_path / "store", header=region_embeddings.header, writable=True)
    features = torch.arange(5 * 128).reshape(5, 128).numpy().astype("float16")
    keys = [[bytes([thread, number]) * 8 for number in range(20)] for thread in range(THREADS)]

    def add(thread: int) -> None:
        for number, key in enumerate(keys[thread]):
            store.put_many({key: features + number})

    at_the_same_time(add)
    assert not store.verify()
    for mine in keys:
        values, present = store.get_many(mine)
        assert present.all()
        assert all((value == features + number).all() for number, value in enumerate(values))
