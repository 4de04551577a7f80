"""Whether memory grows with the number of posts.

    python -m benchmarks.speed.memory [--posts 1000 4000]

For each number a process of its own makes written posts of which every picture is in a store, predicts some to warm up,
and then all of them. Shown is by how much its greatest resident size rose in that, above what posts and tagger took.
The labels that prediction leaves on posts are part of it.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

WARM_UP = 64


def rise(posts: int) -> float:
    """MB by which the greatest resident size of this process rises when it predicts this many posts."""
    from benchmarks.speed.posts import give_pictures, written_posts
    from benchmarks.speed.subjects import encoder_folder, espvr_tagger

    sentences = written_posts(posts)
    with tempfile.TemporaryDirectory() as temporary:
        regions = give_pictures(sentences, Path(temporary) / "pictures", grid=(7, 7), dim=256)
        tagger = espvr_tagger(encoder_folder("minilm", Path()), regions, use_caption=True)
        tagger.predict(sentences[:WARM_UP])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tagger.predict(sentences)
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--posts", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--rise", type=int, metavar="POSTS", help="what each process is asked for")
    chosen = parser.parse_args(arguments)
    if chosen.rise is not None:
        print(rise(chosen.rise))
        return
    print("| posts | greatest resident size rose by, MB |", "|---|---|", sep="\n")
    for posts in chosen.posts:
        command = [sys.executable, "-m", "benchmarks.speed.memory", "--rise", str(posts)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"| {posts} | {float(answer.split()[-1]):.1f} |", flush=True)


if __name__ == "__main__":
    main()
