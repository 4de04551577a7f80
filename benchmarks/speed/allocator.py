"""What it costs to train while glibc gives freed memory back, and while it keeps it (`MALLOC_...` variables).

    python -m benchmarks.speed.allocator [--data FOLDER] [--posts 96] [--rounds 5]

The sides take turns, a process each: after a first round over the posts, the steps of a second and a third are measured
(`ESPVRTagger` over MiniLM-L6, text alone, batch 16, one thread). Shown are processor seconds, as the clock also tells
what else the machine does, of the program and of the system for it, and the pages that the system handed out.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.measuring import Spread
from benchmarks.speed.options import parser
from benchmarks.speed.posts import load_posts
from benchmarks.speed.subjects import encoder_folder, espvr_tagger
from benchmarks.speed.training import in_batches, training_steps

SIDES: dict[str, dict[str, str]] = {
    "as it is": {},
    "freed memory is kept": {"MALLOC_TRIM_THRESHOLD_": "20000000000", "MALLOC_MMAP_THRESHOLD_": "20000000000"},
}
_ROUNDS = 2


def measure(count: int, data: Path | None) -> tuple[float, float, int]:
    """Train in this process; return its user and system seconds and its page faults."""
    tagger = espvr_tagger(encoder_folder("minilm", Path()))
    batches = in_batches(load_posts(count, data))
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-5, fused=True)
    training_steps(tagger, batches, optimizer)
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(_ROUNDS):
        training_steps(tagger, batches, optimizer)
    after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return user, system, after.ru_minflt - before.ru_minflt


def measured(side: str, arguments: Sequence[str]) -> list[float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.allocator", "--here", *arguments]
    environment = {**os.environ, **SIDES[side]}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [float(figure) for figure in done.stdout.split()[-3:]]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, posts=96, rounds=5)
    options.add_argument("--here", action="store_true", help="measure in this process, as it was started")
    chosen = options.parse_args(arguments)
    if chosen.here:
        torch.set_num_threads(1)
        print(*measure(chosen.posts, chosen.data))
        return
    data = [] if chosen.data is None else ["--data", str(chosen.data)]
    found: dict[str, list[list[float]]] = {side: [] for side in SIDES}
    for turn in range(chosen.rounds):
        for side in list(SIDES)[:: -1 if turn % 2 else 1]:
            found[side].append(measured(side, ["--posts", str(chosen.posts), *data]))
            print(turn + 1, side, found[side][-1], file=sys.stderr, flush=True)
    print("| freed memory | processor, s | of it the system's, s | pages, thousands |", "|---|---|---|---|", sep="\n")
    spent = {side: [user + system for user, system, _ in rows] for side, rows in found.items()}
    for side, rows in found.items():
        systems, pages = ([row[place] for row in rows] for place in (1, 2))
        shown = (Spread.of(spent[side]), Spread.of(systems), Spread.of([count / 1000 for count in pages]))
        print(f"| {side} | {' | '.join(map(str, shown))} |")
    given_back, kept = spent.values()
    ratios = [ours / theirs for ours, theirs in zip(kept, given_back, strict=True)]
    print(f"\nkept to given back, round by round: {Spread.of(ratios)}")


if __name__ == "__main__":
    main()
