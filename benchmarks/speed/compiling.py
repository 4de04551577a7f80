"""What `torch.compile` of the encoder and of the fusion gains in prediction, and how long it takes.

    python -m benchmarks.speed.compiling [--data FOLDER] [--settings NAME ...]

text, pictures: MiniLM-L6 with hidden size 256 and one layer, text only and with captions and a full store of 12 x 12
regions; base-text, base-pictures: a bert-base with the paper's head. The compiled tagger predicts once before it is
timed; how much longer that takes than without compiling is printed as the cost, and after how many posts it is repaid.
Nothing is taken from the compiler's caches on disk.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from flair.data import Sentence

from benchmarks.measuring import Timing, timings
from benchmarks.speed.options import parser
from benchmarks.speed.posts import give_pictures, load_posts
from benchmarks.speed.subjects import balance, encoder_folder, espvr_tagger
from benchmarks.speed.table import print_table, rows_of
from flair_espvr import ESPVRTagger

SETTINGS = ("text", "pictures", "base-text", "base-pictures")


def taggers(setting: str, posts: list[Sentence], folder: Path) -> dict[str, ESPVRTagger]:
    """Return the same tagger as it is, with its encoder compiled, and with encoder and fusion compiled."""
    encoder = encoder_folder("base" if setting.startswith("base") else "minilm", folder)
    paper = {"hidden_size": 512, "num_layers": 4} if setting.startswith("base") else {}
    pictures = setting.endswith("pictures")
    regions = give_pictures(posts, folder / "pictures") if pictures else None
    made = {}
    for name in ("as it is", "encoder compiled", "encoder and fusion compiled")[: 3 if pictures else 2]:
        tagger = espvr_tagger(encoder, regions, use_caption=pictures, **paper)
        balance(tagger, posts)
        if name != "as it is":
            tagger.embeddings.model.compile(dynamic=True)
        if name == "encoder and fusion compiled":
            tagger.network.fusion.compile(dynamic=True)
        made[name] = tagger
    return made


def rows(settings: Sequence[str], posts: list[Sentence], rounds: int, threads: Sequence[int]) -> Iterator[str]:
    """One comparison after the other."""
    before = torch.get_num_threads()
    for count in threads:
        torch.set_num_threads(count)
        for setting in settings:
            torch.compiler.reset()
            with tempfile.TemporaryDirectory() as temporary:
                works = {
                    name: partial(tagger.predict, posts)
                    for name, tagger in taggers(setting, posts, Path(temporary)).items()
                }
                first: dict[str, float] = {}
                for name, work in works.items():
                    start = time.perf_counter()
                    work()
                    first[name] = time.perf_counter() - start
                measured = {name: timing.per(len(posts)) for name, timing in timings(rounds, works).items()}
            yield from rows_of(setting, measured, threads=count)
            base = measured["as it is"]
            for name, timing in measured.items():
                if name != "as it is":
                    yield _cost(setting, name, first[name] - first["as it is"], timing, base)
    torch.set_num_threads(before)


def _cost(setting: str, name: str, seconds: float, timing: Timing, base: Timing) -> str:
    saved = min(base.wall) - min(timing.wall)
    repaid = f"repaid after {seconds / saved:,.0f} posts" if saved > 0 else "never repaid"
    return f"| | {setting}: {name}, cost | {seconds:.1f} s, {repaid} | | | |"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, posts=128, rounds=5)
    options.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS[:2])
    chosen = options.parse_args(arguments)
    posts = load_posts(chosen.posts, chosen.data)
    with torch.compiler.config.patch(force_disable_caches=True):  # type: ignore[attr-defined]  # made at run time
        print_table(rows(chosen.settings, posts, chosen.rounds, chosen.threads), unit="ms a post")


if __name__ == "__main__":
    main()
