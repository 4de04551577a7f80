"""What the region store costs: reading it, filling it, and training from it, each as a ratio within one run.

    python -m benchmarks.region_store FOLDER

1. Batches of random pictures from a store, against the same arrays from a plain numpy memmap.
2. `flair-espvr regions` on JPEG files with two reading processes, against timm's bare `forward_features` on tensors
   that are ready in memory: the share of its pictures per second that is left.
3. An epoch of training from a full store, against the same epoch with `regions="none"`, and the share of the epoch that
   goes into reading the store.

The two sides of a comparison take turns, and the median of each is compared.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import flair
import numpy as np
import torch
from flair.data import Sentence

from benchmarks.scenes import IMAGES, write_scenes
from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, ImageRegionEmbeddings, MultimodalCorpus
from flair_espvr.data.pictures import squashed_pixels
from flair_espvr.embeddings.backbone_weights import read_weights
from flair_espvr.embeddings.backbones import Backbone
from flair_espvr.embeddings.extraction import extract_regions, find_pictures
from flair_espvr.embeddings.offline_weights import efficientnet_lite0_checkpoint, minilm_folder
from flair_espvr.embeddings.region_header import RegionHeader
from flair_espvr.embeddings.region_store import RegionStore

BATCH = 32


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the three comparisons and prints them as one Markdown table."""
    options = _parser().parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = [reading(options.folder, options.stored, options.rounds)]
    corpus = options.folder / f"scenes-{options.posts}"
    if not (corpus / "boxes.tsv").exists():
        write_scenes(corpus, train=options.posts, valid=8, test=8)
    lite0 = Backbone("tf_efficientnet_lite0", image_size=384, weights=read_weights(efficientnet_lite0_checkpoint()))
    dinov2 = Backbone(
        "vit_small_patch14_dinov2",
        image_size=168,
        pretrained=False,
        weights=None if options.dinov2 is None else read_weights(options.dinov2),
    )
    for backbone in (lite0, dinov2):
        rows.append(extraction(corpus / IMAGES, backbone, options.rounds, options.workers))
    rows.append(training(corpus, options.folder / "store", options.rounds))
    print("\n".join(["| what | this | against | ratio |", "|---|---|---|---|", *rows]))


def reading(folder: Path, pictures: int, rounds: int) -> str:
    """Milliseconds for a batch of 145 x 1536 values: the paper's grid and its pooled vector."""
    header = RegionHeader(
        model="random",
        model_arguments={},
        fingerprint="",
        image_size=384,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        grid=(12, 12),
        dim=1536,
    )
    rng, choose = np.random.default_rng(0), random.Random(0)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        flat = np.memmap(Path(temporary, "flat"), dtype=np.float16, mode="w+", shape=(pictures, *header.shape))
        store = RegionStore(Path(temporary, "store"), header=header, writable=True)
        keys = [choose.randbytes(16) for _ in range(pictures)]
        for start in range(0, pictures, BATCH):
            rows = range(start, min(start + BATCH, pictures))
            for row in rows:
                flat[row] = rng.standard_normal(header.shape, dtype=np.float32)
            store.put_many({keys[row]: flat[row] for row in rows})

        def choices() -> list[int]:
            return choose.sample(range(pictures), BATCH)

        ours, plain = _medians(
            20 * rounds,
            lambda: store.get_many([keys[row] for row in choices()]),
            lambda: flat[choices()],
        )
        store.close()
    return f"| reading {BATCH} grids, ms | {1000 * ours:.1f} | memmap {1000 * plain:.1f} | {ours / plain:.2f} |"


def extraction(images: Path, backbone: Backbone, rounds: int, workers: int) -> str:
    """Pictures per second from JPEG files to a store on disk, hashing and all, against the model alone."""
    paths = find_pictures(images)
    pixels = torch.from_numpy(np.stack([squashed_pixels(path, backbone.image_size) for path in paths[:BATCH]]))
    images_ready = (pixels.permute(0, 3, 1, 2).float() / 255).to(flair.device)
    backbone.encode(pixels, flair.device)  # once untimed

    def extract() -> None:
        with (
            tempfile.TemporaryDirectory(dir=images.parent) as folder,
            RegionStore(folder, header=backbone.header, writable=True) as store,
        ):
            extract_regions(
                paths, store, backbone, device=flair.device, workers=workers, batch_size=BATCH, progress=False
            )

    def bare() -> None:
        with torch.no_grad():
            for start in range(0, len(paths), BATCH):
                backbone.model.forward_features(images_ready[: len(paths) - start])
        if flair.device.type == "cuda":
            torch.cuda.synchronize()

    ours, plain = (len(paths) / seconds for seconds in _medians(rounds, extract, bare))
    name = f"extracting with {backbone.name} at {backbone.image_size}, pictures/s"
    return f"| {name} | {ours:.1f} | bare {plain:.1f} | {ours / plain:.2f} |"


def training(folder: Path, store: Path, rounds: int) -> str:
    """Seconds for an epoch over posts with pictures, all of them in the store."""
    corpus = MultimodalCorpus(folder, images=folder / IMAGES)
    posts = list(corpus.train)
    regions = ImageRegionEmbeddings(
        "tf_efficientnet_lite0", image_size=384, checkpoint=efficientnet_lite0_checkpoint(), store=store
    )
    regions.regions(posts[:1])
    for start in range(0, len(posts), BATCH):
        regions.regions(posts[start : start + BATCH])
    labels = corpus.make_label_dictionary("ner", add_unk=False)

    def epoch_of(region_embeddings: ImageRegionEmbeddings | None) -> Callable[[], None]:
        flair.set_seed(0)
        tagger = ESPVRTagger(
            CaptionedTransformerEmbeddings(str(minilm_folder()), fine_tune=True),
            labels,
            "ner",
            region_embeddings=region_embeddings,
            hidden_size=256,
            num_layers=1,
            window=6,
        )
        tagger.to(flair.device)
        optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-5)
        return lambda: _epoch(tagger, posts, optimizer)

    with_store, without = _medians(rounds, epoch_of(regions), epoch_of(None))
    began = time.perf_counter()
    for start in range(0, len(posts), BATCH):
        regions.regions(posts[start : start + BATCH])
    share = (time.perf_counter() - began) / with_store
    name = f"an epoch of {len(posts)} posts, s ({share:.1%} of it reading the store)"
    return f'| {name} | {with_store:.1f} | regions="none" {without:.1f} | {with_store / without:.2f} |'


def _epoch(tagger: ESPVRTagger, posts: list[Sentence], optimizer: torch.optim.Optimizer) -> None:
    tagger.train()
    for start in range(0, len(posts), BATCH):
        loss, words = tagger.forward_loss(posts[start : start + BATCH])
        optimizer.zero_grad()
        (loss / words).backward()
        optimizer.step()


def _medians(rounds: int, first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each, run in turns, after one untimed turn of both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for side, work in zip(seconds, (first, second), strict=True):
            start = time.perf_counter()
            work()
            if turn:
                side.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="for the corpus, the stores and the arrays; on the disk to measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stored", type=int, default=2000, metavar="PICTURES", help="0.9 GB for every 2,000")
    parser.add_argument("--posts", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dinov2", type=Path, metavar="FILE", help="its weights; random ones by default")
    return parser


if __name__ == "__main__":
    main()
