"""What importing the package adds to importing Flair, and how long `flair-espvr --help` takes.

    python -m benchmarks.speed.startup [--rounds 5]

Every round starts a process of each kind; shown are their wall and processor seconds, and those of an empty one.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.measuring import Spread

WORKS = {
    "python": "pass",
    "import flair": "import flair",
    "import flair, then flair_espvr": "import flair, flair_espvr",
    "flair-espvr --help": "import sys; sys.argv = ['flair-espvr', '--help']; "
    "from flair_espvr.commands.main import main; sys.exit(main())",
}


def seconds(program: str) -> tuple[float, float]:
    """Wall and processor seconds of a Python process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in WORKS}
    for turn in range(-1, rounds):
        for name, program in WORKS.items():
            spent = seconds(program)
            if turn >= 0:
                measured[name].append(spent)
    print("| what | wall, s | CPU, s |", "|---|---|---|", sep="\n")
    for name, pairs_of in measured.items():
        print(_row(name, pairs_of))
    pairs = zip(measured["import flair, then flair_espvr"], measured["import flair"], strict=True)
    added = [(ours[0] - flairs[0], ours[1] - flairs[1]) for ours, flairs in pairs]
    print(_row("flair_espvr adds", added))


def _row(name: str, spent: Sequence[tuple[float, float]]) -> str:
    return f"| {name} | {Spread.of([wall for wall, _ in spent])} | {Spread.of([cpu for _, cpu in spent])} |"


if __name__ == "__main__":
    main()
