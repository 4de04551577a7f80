"""How long a model file takes to load, against torch's own reader and against another revision of this package.

    python -m benchmarks.speed.loading [--encoder NAME] [--rounds 7] [--against REVISION]

The file is a new text tagger over MiniLM-L6, written by the older revision, so that both can read it. Each side is a
process of its own that has imported everything and loads the file once before; they take turns. Shown are seconds of
the processor, which other programs on the machine hardly touch, and seconds by the clock: median (least to greatest).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import Spread, machine
from flair_espvr.io.packaged import MINILM_L6, resolve_packaged

_ROOT = Path(__file__).parents[2]

_WRITE = """
import sys
from flair.data import Dictionary
from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger
labels = Dictionary(add_unk=False)
labels.add_item("PER")
ESPVRTagger(CaptionedTransformerEmbeddings(sys.argv[2]), labels, "ner", regions="none").save(sys.argv[1])
"""

_LOAD = "from flair_espvr import ESPVRTagger\nload = ESPVRTagger.load\n"
_TORCH = "import functools, torch\nload = functools.partial(torch.load, weights_only=True)\n"

_TIME = """
import json, sys, time
load(sys.argv[1])
for _ in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    load(sys.argv[1])
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
"""


def timed(sides: dict[str, tuple[str, Path]], model: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of each side's loads.

    Args:
        sides: by name the program that defines `load`, and the folder whose package it imports.
        model: the file.
        rounds: loads of each.
    """
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-c", program + _TIME, str(model)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, (program, folder) in sides.items()
    }
    result: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            wall, cpu = json.loads(process.stdout.readline())
            result[name].append((wall, cpu))
    for process in processes.values():
        process.communicate()
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default=MINILM_L6, metavar="NAME", help="a Hugging Face encoder")
    parser.add_argument("--rounds", type=int, default=7, help="timed loads of each side")
    parser.add_argument("--against", metavar="REVISION", help="a commit of this repository")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        older, model = Path(temporary, "older"), Path(temporary, "model.pt")
        sides = {"this revision": (_LOAD, _ROOT), "torch.load alone": (_TORCH, _ROOT)}
        if options.against is not None:
            older.mkdir()
            archive = subprocess.run(["git", "archive", options.against], cwd=_ROOT, check=True, capture_output=True)
            subprocess.run(["tar", "-x"], cwd=older, check=True, input=archive.stdout)
            sides[options.against] = (_LOAD, older)
        write = [sys.executable, "-c", _WRITE, str(model), resolve_packaged(options.encoder)]
        subprocess.run(write, cwd=older if older.exists() else _ROOT, check=True)
        size, seconds = model.stat().st_size, timed(sides, model, options.rounds)
    print(machine("torch", "flair", "transformers"), "", sep="\n")
    print(f"| load of {size / 2**20:.0f} MiB | processor, s | clock, s |", "|---|---|---|", sep="\n")
    for name, rounds in seconds.items():
        wall, cpu = (Spread.of(values) for values in zip(*rounds, strict=True))
        print(f"| {name} | {cpu} | {wall} |")


if __name__ == "__main__":
    main()
