"""How cost grows with the length of posts, the batch, the number of entities and the grid.

    python -m benchmarks.speed.scaling [--parts NAME ...]

length: `predict` over posts of 8 to 500 words, MiniLM-L6, text only; times are per word. batch: `predict` with 1 to 256
posts a batch; per post. entities, grid: the head alone (hidden size 256, one layer, window 8), positioning every entity
by itself included, for 0 to 64 entities in 128 words, and for grids of 7 x 7 to 37 x 37; per batch of 8.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from flair.data import Sentence

from benchmarks.measuring import timings
from benchmarks.speed.options import parser
from benchmarks.speed.posts import load_posts
from benchmarks.speed.subjects import TYPES, encoder_folder, espvr_tagger
from benchmarks.speed.table import Works, print_table, rows_of
from flair_espvr.nn.espvr import ESPVRNetwork, VisualInput
from flair_espvr.nn.spans import Spans

LENGTHS = (8, 32, 128, 500)
BATCHES = (1, 4, 16, 64, 256)
ENTITIES = (0, 1, 4, 16, 64)
GRIDS = (7, 12, 24, 37)
BATCH = 8
PARTS = ("length", "batch", "entities", "grid")


def lengths() -> dict[str, tuple[Callable[[], None], int]]:
    """Predicting posts of one length, and how many words that are."""
    tagger = espvr_tagger(encoder_folder("minilm", Path()))
    works: dict[str, tuple[Callable[[], None], int]] = {}
    for length in LENGTHS:
        count = max(BATCH, 512 // length)
        posts = [Sentence(["word"] * length) for _ in range(count)]
        works[f"{length} words"] = (partial(tagger.predict, posts, mini_batch_size=BATCH), count * length)
    return works


def batches(posts: list[Sentence]) -> dict[str, tuple[Callable[[], None], int]]:
    """Predicting the same posts in batches of one size after the other, and how many posts that are."""
    tagger = espvr_tagger(encoder_folder("minilm", Path()))
    return {f"{size} a batch": (partial(tagger.predict, posts, mini_batch_size=size), len(posts)) for size in BATCHES}


def entities() -> Works:
    """The head with a given number of entities per post."""
    network = _network()
    return {f"{count} entities": _head(network, words=128, entities=count, grid=12) for count in ENTITIES}


def grids() -> Works:
    """The head with a given grid."""
    network = _network()
    return {f"{side} x {side} regions": _head(network, words=20, entities=2, grid=side) for side in GRIDS}


def _network() -> ESPVRNetwork:
    torch.manual_seed(0)
    return ESPVRNetwork(
        word_size=384,
        region_size=1536,
        labels=["O", *(f"{prefix}-{name}" for name in TYPES for prefix in "BI")],
        regions="positioned",
        positioning="hard",
        window=8,
        hidden_size=256,
        num_heads=8,
        num_layers=1,
        dropout=0.0,
        span_loss_weight=0.08,
    ).eval()


def _head(network: ESPVRNetwork, *, words: int, entities: int, grid: int) -> Callable[[], None]:
    vectors, mask = torch.randn(BATCH, words, 384), torch.ones(BATCH, words, dtype=torch.bool)
    visual = VisualInput(torch.randn(BATCH, grid**2, 1536), torch.ones(BATCH, dtype=torch.bool), (grid, grid))
    start = (2 * torch.arange(entities)).expand(BATCH, -1)
    spans = Spans(start, start + 1, torch.zeros_like(start), torch.ones_like(start, dtype=torch.bool))

    @torch.inference_mode()
    def work() -> None:
        output = network(vectors, mask, visual, spans)
        network.tag_crf.span_probabilities(output.tag_emissions, mask, spans)
        network.position_entities(output, spans, visual)

    return work


def rows(parts: Sequence[str], posts: list[Sentence], rounds: int, threads: Sequence[int]) -> Iterator[str]:
    """One comparison after the other, the least first."""
    sized = {"length": lengths, "batch": partial(batches, posts)}
    plain = {"entities": entities, "grid": grids}
    before = torch.get_num_threads()
    for part in parts:
        if part in sized:
            counted = sized[part]()
            works, units = {name: work for name, (work, _) in counted.items()}, [unit for _, unit in counted.values()]
        else:
            works = plain[part]()
            units = [1] * len(works)
        for count in threads:
            torch.set_num_threads(count)
            measured = timings(rounds, works)
            each = {name: timing.per(unit) for (name, timing), unit in zip(measured.items(), units, strict=True)}
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
