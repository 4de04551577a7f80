"""How cost grows with the length of posts, the batch, the number of entities and the grid.

    python -m benchmarks.speed.scaling [--parts NAME ...]

length: `predict` over posts of 8 to 500 words, MiniLM-L6, text only; times are per word. batch: `predict` with 1 to 256
posts a batch; per post. entities, grid: the head alone (hidden size 256, one layer, window 8), positioning every entity
by itself included, for 0 to 64 entities in 128 words, and for grids of 7 x 7 to 37 x 37; per batch of 8.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from flair.data import Sentence

from benchmarks.measuring import timings
from benchmarks.speed.options import parser
from benchmarks.speed.posts import load_posts
from benchmarks.speed.subjects import TYPES, encoder_folder, espvr_tagger
from benchmarks.speed.table import print_table, rows_of
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.spans import Spans
from flair_espvr.nn.networks.espvr import ESPVRConfig, ESPVRNetwork

LENGTHS = (8, 32, 128, 500)
BATCHES = (1, 4, 16, 64, 256)
ENTITIES = (0, 1, 4, 16, 64)
GRIDS = (7, 12, 24, 37)
BATCH = 8
PARTS = ("length", "batch", "entities", "grid")


Counted = dict[str, tuple[Callable[[], Any], int]]
"""Works, and how many words, posts or batches each does."""


def lengths() -> Counted:
    """Predicting posts of one length."""
    tagger = espvr_tagger(encoder_folder("minilm", Path()))
    works: Counted = {}
    for length in LENGTHS:
        count = max(BATCH, 512 // length)
        posts = [Sentence(["word"] * length) for _ in range(count)]
        works[f"{length} words"] = (partial(tagger.predict, posts, mini_batch_size=BATCH), count * length)
    return works


def batches(posts: list[Sentence]) -> Counted:
    """Predicting the same posts in batches of one size after the other."""
    tagger = espvr_tagger(encoder_folder("minilm", Path()))
    return {f"{size} a batch": (partial(tagger.predict, posts, mini_batch_size=size), len(posts)) for size in BATCHES}


def entities() -> Counted:
    """Return the head with a given number of entities per post."""
    network = _network()
    return {f"{count} entities": (_head(network, words=128, entities=count, grid=12), 1) for count in ENTITIES}


def grids() -> Counted:
    """Return the head with a given grid."""
    network = _network()
    return {f"{side} x {side} regions": (_head(network, words=20, entities=2, grid=side), 1) for side in GRIDS}


def _network() -> ESPVRNetwork:
    torch.manual_seed(0)
    config = ESPVRConfig(positioning="hard", hidden_size=256, num_layers=1, dropout=0.0)
    labels = ["O", *(f"{prefix}-{name}" for name in TYPES for prefix in "BI")]
    return ESPVRNetwork(config, word_size=384, region_size=1536, labels=labels).eval()


def _head(network: ESPVRNetwork, *, words: int, entities: int, grid: int) -> Callable[[], None]:
    vectors, mask = torch.randn(BATCH, words, 384), torch.ones(BATCH, words, dtype=torch.bool)
    regions, present = torch.randn(BATCH, grid**2, 1536), torch.ones(BATCH, dtype=torch.bool)
    images = ImageFeatures(regions, regions[:, 0], present, (grid, grid), count=BATCH)
    start = (2 * torch.arange(entities)).expand(BATCH, -1)
    spans = Spans(start, start + 1, torch.zeros_like(start), torch.ones_like(start, dtype=torch.bool))

    @torch.inference_mode()
    def work() -> None:
        output = network(vectors, mask, images, spans=spans)
        network.tag_crf.span_probabilities(output.emissions, mask, spans)
        network.position_entities(output, spans, images)

    return work


def rows(parts: Sequence[str], posts: list[Sentence], rounds: int, threads: Sequence[int]) -> Iterator[str]:
    """One comparison after the other, the least first."""
    makers: dict[str, Callable[[], Counted]] = {
        "length": lengths,
        "batch": partial(batches, posts),
        "entities": entities,
        "grid": grids,
    }
    before = torch.get_num_threads()
    for part in parts:
        counted = makers[part]()
        for count in threads:
            torch.set_num_threads(count)
            measured = timings(rounds, {name: work for name, (work, _) in counted.items()})
            each = {name: measured[name].per(units) for name, (_, units) in counted.items()}
            yield from rows_of(part, each, threads=count)
    torch.set_num_threads(before)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, posts=256, rounds=5)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    chosen = options.parse_args(arguments)
    posts = load_posts(chosen.posts, chosen.data)
    print_table(rows(chosen.parts, posts, chosen.rounds, chosen.threads), unit="ms a word, post or batch")


if __name__ == "__main__":
    main()
