"""Whether memory grows with the number of posts.

    python -m benchmarks.speed.memory [--posts 1000 4000]

For each number a process of its own makes written posts of which every picture is in a store, predicts some to warm up,
and then all of them. Shown is by how much its memory, looked at before every batch, rose in that. Pages of the store
that the system has mapped are not counted: they are the system's to take back. The labels that prediction leaves on
posts are. Linux only.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WARM_UP = 64


def rise(posts: int) -> float:
    """MB by which the memory of this process rises when it predicts this many posts."""
    from benchmarks.speed.posts import give_pictures, written_posts
    from benchmarks.speed.subjects import balance, encoder_folder, espvr_tagger

    sentences = written_posts(posts)
    with tempfile.TemporaryDirectory() as temporary:
        regions = give_pictures(sentences, Path(temporary) / "pictures", grid=(7, 7), dim=256)
        tagger = espvr_tagger(encoder_folder("minilm", Path()), regions, use_caption=True)
        balance(tagger, sentences)
        tagger.predict(sentences[:WARM_UP])
        sizes = [_own_memory()]
        predict_batch = tagger.predict_batch

        def observed(*arguments: Any, **options: Any) -> Any:
            sizes.append(_own_memory())
            return predict_batch(*arguments, **options)

        tagger.predict_batch = observed  # type: ignore[method-assign]
        tagger.predict(sentences)
        return max(sizes) - sizes[0]


def _own_memory() -> float:
    """MB of this process that are no file's."""
    (kilobytes,) = re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--posts", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--rise", type=int, metavar="POSTS", help="what each process is asked for")
    chosen = parser.parse_args(arguments)
    if chosen.rise is not None:
        print(rise(chosen.rise))
        return
    print("| posts | memory rose by, MB |", "|---|---|", sep="\n")
    for posts in chosen.posts:
        command = [sys.executable, "-m", "benchmarks.speed.memory", "--rise", str(posts)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"| {posts} | {float(answer.split()[-1]):.1f} |", flush=True)


if __name__ == "__main__":
    main()
