"""What mixed precision gains in prediction, and how many words keep the tag that float32 gives them.

    python -m benchmarks.speed.precision MODEL.pt [--data FOLDER]

MODEL is a trained tagger: an untrained one is undecided about every word, and says nothing.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from flair.data import Sentence

from benchmarks.speed.options import parser
from benchmarks.speed.posts import load_posts
from benchmarks.speed.table import compare, print_table
from flair_espvr import ESPVRTagger
from flair_espvr.data.bio import bio_tags
from flair_espvr.data.sentences import sentence_entities


def word_tags(tagger: ESPVRTagger, posts: list[Sentence], *, amp: bool) -> list[str]:
    """Return the predicted tag of every word of all posts."""
    tagger.predict(posts, label_name="predicted", amp=amp)
    return [tag for post in posts for tag in bio_tags(len(post), sentence_entities(post, "predicted"))]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, posts=10_000)
    options.add_argument("model", type=Path)
    options.add_argument("--timed-posts", type=int, default=160)
    chosen = options.parse_args(arguments)
    posts = load_posts(chosen.posts, chosen.data)
    tagger = ESPVRTagger.load(chosen.model)
    torch.set_num_threads(chosen.threads[0])
    full, mixed = (word_tags(tagger, posts, amp=amp) for amp in (False, True))
    equal = sum(one == other for one, other in zip(full, mixed, strict=True))
    print(f"{equal} of {len(full)} words keep their tag: {equal / len(full):.4%}\n")
    some = posts[: chosen.timed_posts]
    works = {
        "float32": partial(tagger.predict, some, label_name="predicted"),
        "mixed precision": partial(tagger.predict, some, label_name="predicted", amp=True),
    }
    print_table(
        compare("predict", works, rounds=chosen.rounds, threads=chosen.threads, per=len(some)), unit="ms a post"
    )


if __name__ == "__main__":
    main()
