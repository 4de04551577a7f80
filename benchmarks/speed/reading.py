"""What a training step waits for regions: with a store in memory, on disk, and on disk but read one batch ahead.

    python -m benchmarks.speed.reading FOLDER [--posts 320] [--others 1280]

A text-and-picture step of MiniLM-L6 (hidden size 256, one layer, batch 16) on posts whose 12 x 12 regions of 1536 are
in a store in FOLDER, which has to be on a disk, and not on a file system in memory. Before each round the system is
made to forget the store. Other pictures lie in the store between those of the posts, as in an epoch that has just
begun. Wall times, as one waits. Linux only.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from flair.data import Sentence

from benchmarks.measuring import Spread, machine
from benchmarks.speed.options import parser
from benchmarks.speed.posts import give_pictures, load_posts, written_posts
from benchmarks.speed.subjects import encoder_folder, espvr_tagger
from benchmarks.speed.training import in_batches, training_steps
from flair_espvr import ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.images.store.lmdb_environment import DATA_FILE
from flair_espvr.images.store.region_store import RegionStore

Waits = list[tuple[float, float]]
"""Seconds of each step that its regions took, and that it took in all."""


def waits(
    tagger: ESPVRTagger, batches: list[list[Sentence]], optimizer: torch.optim.Optimizer, *, ahead: bool
) -> Waits:
    """Trains on the batches, as Flair's trainer does, or with each one announced while the one before is learned."""
    regions = tagger.region_embeddings
    assert regions is not None
    spent = [0.0]
    result = []
    regions.regions = _timed(regions.regions, spent)  # type: ignore[method-assign]
    try:
        for batch, following in zip(batches, [*batches[1:], []], strict=True):
            start, spent[0] = time.perf_counter(), 0.0
            if ahead and following:
                tagger.prefetch(following)
            training_steps(tagger, [batch], optimizer)
            result.append((spent[0], time.perf_counter() - start))
    finally:
        del regions.regions
    return result


def _timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        start = time.perf_counter()
        result = function(*arguments)
        spent[0] += time.perf_counter() - start
        return result

    return run


def forget(regions: ImageRegionEmbeddings) -> None:
    """Has the system drop a store from memory; what a process has mapped it would keep."""
    folder = Path(regions.to_params()["store"])
    RegionStore(folder).close()
    with (folder / DATA_FILE).open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("folder", type=Path, metavar="FOLDER")
    options.add_argument("--others", type=int, default=1280)
    chosen = options.parse_args(arguments)
    torch.set_num_threads(chosen.threads[0])
    posts = load_posts(chosen.posts, chosen.data)
    everything = [*posts, *written_posts(chosen.others)]
    random.Random(0).shuffle(everything)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as temporary:
        regions = give_pictures(everything, Path(temporary) / "pictures")
        tagger = espvr_tagger(encoder_folder("minilm", Path(temporary)), regions, use_caption=True)
        optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-5, fused=True)
        batches = in_batches(posts)
        measured: dict[str, Waits] = {"in memory": [], "on disk": [], "on disk, read ahead": []}
        for turn in range(-1, chosen.rounds):
            for name, found in measured.items():
                if name != "in memory":
                    forget(regions)
                # The first batch has none before it: the others are what an epoch is made of.
                steps = waits(tagger, batches, optimizer, ahead=name.endswith("ahead"))[1:]
                found.extend(steps if turn >= 0 else ())
    print(machine("torch", "transformers", "flair", "lmdb"), "", sep="\n")
    print("| store | waited for regions, ms a step | whole step, ms |", "|---|---|---|", sep="\n")
    for name, found in measured.items():
        waited, whole = (Spread.of([1000 * seconds[column] for seconds in found]) for column in (0, 1))
        print(f"| {name} | {waited} | {whole} |")


if __name__ == "__main__":
    main()
