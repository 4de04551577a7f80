"""The comparisons of `benchmarks.region_store`, each as rows of its table."""

import random
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import flair
import numpy as np
import torch
from flair.data import Sentence

from benchmarks.measuring import Spread, in_turns
from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, ImageRegionEmbeddings, MultimodalCorpus
from flair_espvr.embeddings.image.backbone import Backbone
from flair_espvr.embeddings.image.backbone_weights import read_weights
from flair_espvr.embeddings.image.extraction import extract_regions
from flair_espvr.embeddings.image.regions import DEFAULT_BACKBONE
from flair_espvr.images.folder import find_images
from flair_espvr.images.loading import content_key, squashed_pixels
from flair_espvr.images.store.header import RegionHeader
from flair_espvr.images.store.region_store import RegionStore
from flair_espvr.images.worker_tasks import key_and_pixels_or_error, key_or_error
from flair_espvr.io.packaged import EFFICIENTNET_LITE0, MINILM_L6
from flair_espvr.nn.features import ImageFeatures
from synthetic.drawing import DRAWINGS, draw_scene
from synthetic.scenes import IMAGES, JPEG_QUALITY, write_scenes

BATCH = 32

PICTURE_SIDE = 768
"""Pixels; about what people post."""

HEADER = RegionHeader(
    model=DEFAULT_BACKBONE,
    model_arguments={},
    fingerprint="random",
    image_size=384,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    grid=(12, 12),
    dim=1536,
)
"""Of the paper's backbone, whose features are random numbers here: times do not depend on them."""


def reading(folder: Path, *, pictures: int, rounds: int) -> list[str]:
    """Milliseconds for `BATCH` random pictures out of a store, as float16 (BATCH,145,1536) in memory."""
    folder.mkdir()
    choose = random.Random(0)
    keys = [choose.randbytes(16) for _ in range(pictures)]
    store = random_store(folder / "store", keys)
    np.save(folder / "flat.npy", store.get_many(keys)[0])
    flat = np.load(folder / "flat.npy", mmap_mode="r")

    def batch() -> list[int]:
        return choose.sample(range(pictures), min(BATCH, pictures))

    ours, plain = in_turns(rounds, lambda: store.get_many([keys[row] for row in batch()]), lambda: flat[batch()])
    store.close()
    ours, plain = ([1000 * seconds for seconds in side] for side in (ours, plain))
    return [_row(f"reading {BATCH} of {pictures} grids of 144 x 1536, ms", ours, plain, "numpy memmap")]


def extraction(images: Path, backbone: Backbone, *, workers: int, rounds: int) -> list[str]:
    """Pictures per second from files to a store on disk, against the model alone; and where processor time goes.

    The model alone runs as anyone would write it, `BATCH` pictures at once, and again with as many at once as the
    extraction takes. Untimed are the model's first pass, which is slower, and the start of the process that workers are
    forked from. On a busy machine processor times mean more than pictures per second.
    """
    paths = find_images(images)
    pixels = torch.from_numpy(np.stack([squashed_pixels(path, backbone.image_size) for path in paths]))
    # Channels last in memory, as in `Backbone.encode`: convolutions on a CPU are then much faster than with planes.
    ready = (pixels.permute(0, 3, 1, 2).float() / 255).to(flair.device)
    on_gpu = flair.device.type == "cuda"  # where `Backbone.encode` computes in half precision
    at_once = backbone.images_at_once(flair.device, limit=BATCH)

    def extract(paths: Sequence[Path]) -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            RegionStore(folder, header=backbone.header, writable=True) as store,
        ):
            extract_regions(
                paths, store, backbone, device=flair.device, workers=workers, batch_size=BATCH, progress=False
            )

    def bare(size: int) -> None:
        with torch.no_grad(), torch.autocast(flair.device.type, dtype=torch.float16, enabled=on_gpu):
            for batch in ready.split(size):
                backbone.model.forward_features(batch)
        if on_gpu:
            torch.cuda.synchronize()

    ours, plain, plain_small = (
        _Clock(lambda: extract(paths)),
        _Clock(lambda: bare(BATCH)),
        _Clock(lambda: bare(at_once)),
    )
    decode = _Clock(lambda: [key_and_pixels_or_error(path, backbone.image_size) for path in paths])
    find = _Clock(lambda: [key_or_error(path) for path in paths])
    extract(paths[:BATCH])
    seconds = in_turns(rounds, ours, plain, plain_small, decode, find, untimed=0)
    rates = [[len(paths) / value for value in side] for side in seconds]
    name = f"extracting {len(paths)} pictures with {backbone.name} at {backbone.image_size}"
    rows = [
        _row(f"{name}, pictures/s", rates[0], rates[1], f"bare forward_features, {BATCH} at once"),
        _row("the same, pictures/s", rates[0], rates[2], f"bare forward_features, {at_once} at once"),
    ]
    for part, clock in {
        "of it processor time of the computing thread": ours,
        f"bare forward_features, {BATCH} at once": plain,
        "reading, hashing, decoding, squashing (in workers)": decode,
        "reading and hashing beforehand (in workers)": find,
    }.items():
        mine, bare_ms = ([1000 * value / len(paths) for value in side.thread_seconds] for side in (clock, plain_small))
        rows.append(_row(f"{part}, ms a picture", mine, bare_ms, f"bare forward_features, {at_once} at once"))
    return rows


def training(folder: Path, *, posts: int, rounds: int, encoder: str | None = None) -> list[str]:
    """Seconds for an epoch over posts whose pictures are all in the store, and how many of them the store takes."""
    write_scenes(folder, train=posts, valid=1, test=1)
    corpus = MultimodalCorpus(folder, images=folder / IMAGES)
    sentences = list(corpus.train)
    with random_store(folder / "store", [content_key(path) for path in find_images(folder / IMAGES)]):
        pass
    regions = _TimedRegions(folder / "store")
    labels = corpus.make_label_dictionary("ner", add_unk=False)

    def epoch_of(region_embeddings: ImageRegionEmbeddings | None) -> Callable[[], None]:
        flair.set_seed(0)
        tagger = ESPVRTagger(
            CaptionedTransformerEmbeddings(encoder or MINILM_L6, fine_tune=True),
            labels,
            "ner",
            region_embeddings=region_embeddings,
            regions="none" if region_embeddings is None else "positioned",
            hidden_size=256,
            num_layers=1,
            window=6,
        )
        tagger.to(flair.device)
        optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-5)
        return lambda: _epoch(tagger, sentences, optimizer)

    values = [np.full(HEADER.shape, number, dtype=np.float16).tobytes() for number in range(posts)]
    ours, plain, checking = in_turns(
        rounds, epoch_of(regions), epoch_of(None), lambda: [zlib.crc32(value) for value in values]
    )
    calls = np.array(regions.seconds).reshape(rounds + 1, -1)[1:]  # the first epoch is untimed
    inside = [float(seconds) for seconds in calls.sum(axis=1)]
    longer = [epoch - epoch_without for epoch, epoch_without in zip(ours, plain, strict=True)]
    return [
        _row(f"an epoch of {posts} posts, positioned regions, s", ours, plain, 'regions="none"'),
        _row("of it inside `ImageRegionEmbeddings.regions`, s", inside, longer, "what the epoch takes longer"),
        _row("of it checksums of what is read, s", checking, ours, "the whole epoch"),
    ]


def backbones(dinov2_checkpoint: Path | None) -> Iterable[Backbone]:
    """EfficientNet-Lite0 at 384 pixels and DINOv2-small at 168, the latter with random weights unless given some."""
    yield Backbone("tf_efficientnet_lite0", image_size=384, weights=read_weights(EFFICIENTNET_LITE0))
    weights = None if dinov2_checkpoint is None else read_weights(dinov2_checkpoint)
    yield Backbone("vit_small_patch14_dinov2", image_size=168, pretrained=False, weights=weights)


def draw_pictures(folder: Path, count: int) -> Path:
    """Draws different JPEG pictures of `PICTURE_SIDE` pixels into a new folder."""
    folder.mkdir()
    rng, types = np.random.default_rng(0), sorted(DRAWINGS)
    for number in range(count):
        picture = draw_scene(types[number % len(types)], rng, side=PICTURE_SIDE).picture
        picture.save(folder / f"{number:04d}.jpg", quality=JPEG_QUALITY)
    return folder


class _Clock:
    """A work that notes the processor time that its thread spent on it, in each of its runs."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.thread_seconds: list[float] = []

    def __call__(self) -> None:
        start = time.thread_time()
        self._work()
        self.thread_seconds.append(time.thread_time() - start)


def random_store(folder: Path, keys: Sequence[bytes], *, header: RegionHeader = HEADER) -> RegionStore:
    """Return a new store with random features for these keys."""
    rng = np.random.default_rng(0)
    store = RegionStore(folder, header=header, writable=True)
    for start in range(0, len(keys), BATCH):
        store.put_many(
            {key: rng.standard_normal(header.shape, dtype=np.float32) for key in keys[start : start + BATCH]}
        )
    return store


class _TimedRegions(ImageRegionEmbeddings):
    """Notes how many seconds each call of `regions` took."""

    def __init__(self, store: Path) -> None:
        super().__init__(store=store, read_only=True)
        self.seconds: list[float] = []

    def regions(self, sentences: Sequence[Sentence]) -> ImageFeatures:
        start = time.perf_counter()
        batch = super().regions(sentences)
        self.seconds.append(time.perf_counter() - start)
        return batch


def _epoch(tagger: ESPVRTagger, sentences: list[Sentence], optimizer: torch.optim.Optimizer) -> None:
    tagger.train()
    for start in range(0, len(sentences), BATCH):
        loss, words = tagger.forward_loss(sentences[start : start + BATCH])
        optimizer.zero_grad()
        (loss / words).backward()
        optimizer.step()


def _row(name: str, ours: Sequence[float], plain: Sequence[float], other: str) -> str:
    mine, others = Spread.of(ours), Spread.of(plain)
    return f"| {name} | {mine} | {other}: {others} | {mine.median / others.median:.2f} |"
