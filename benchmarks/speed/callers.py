"""Many callers with one post each: `DynamicBatcher` against `predict` in turns and at once.

    python -m benchmarks.speed.callers [--callers 1 16] [--settings text pictures computed]

text and pictures: MiniLM-L6 with a head of hidden size 256 and one layer, pictures with captions and a full store of
12 x 12 regions of 1536. computed: the bundled posts, each picture through EfficientNet-Lite0. Every caller is a thread
that gives its next post when it has the answer to its last. Then, with `--check POSTS`, whether eight threads with as
many bundled posts each get what one has, through `predict` and through the batcher.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock

from flair.data import Sentence

from benchmarks.speed.options import parser
from benchmarks.speed.posts import give_pictures, load_posts
from benchmarks.speed.subjects import balance, encoder_folder, espvr_tagger
from benchmarks.speed.table import Works, compare, print_table
from flair_espvr import DynamicBatcher, ImageRegionEmbeddings, MultimodalTagger
from flair_espvr.io.packaged import packaged_folder
from flair_espvr.training.build import build_corpus, build_regions
from flair_espvr.training.recipes.recipe_file import load_recipe

SETTINGS = ("text", "pictures", "computed")
CHECKED_THREADS = 8

Predict = Callable[[Sentence], object]


def by_callers(predict: Predict, posts: Sequence[Sentence], callers: int) -> None:
    """Each post once, by so many threads."""
    with ThreadPoolExecutor(callers) as threads:
        list(threads.map(predict, posts))


def ways(tagger: MultimodalTagger, posts: Sequence[Sentence], callers: int) -> Works:
    """`predict` in turns, at once, and through a batcher."""
    turn = Lock()

    def in_turn(post: Sentence) -> None:
        with turn:
            tagger.predict(post)

    def batched() -> None:
        with DynamicBatcher(tagger) as batcher:
            by_callers(batcher.predict, posts, callers)

    return {
        "a lock around `predict`": partial(by_callers, in_turn, posts, callers),
        "`predict` without one": partial(by_callers, tagger.predict, posts, callers),
        "`DynamicBatcher`": batched,
    }


def bundled() -> tuple[list[Sentence], ImageRegionEmbeddings]:
    """Return the posts of the quickstart and what computes their regions, without a store."""
    recipe = load_recipe(packaged_folder("recipes") / "quickstart.yaml")
    assert recipe.regions is not None
    return list(build_corpus(recipe.corpus).get_all_sentences()), build_regions(recipe.regions)


def subject(setting: str, count: int, data: Path | None, folder: Path) -> tuple[MultimodalTagger, list[Sentence]]:
    """Return a tagger that finds about as much as there is, and its posts."""
    regions: ImageRegionEmbeddings | None
    if setting == "computed":
        posts, regions = bundled()
        posts = posts[:count]
    else:
        posts = load_posts(count, data)
        regions = give_pictures(posts, folder / "pictures") if setting == "pictures" else None
    encoder = encoder_folder("minilm", folder)
    tagger = espvr_tagger(encoder, regions, use_caption=setting != "text", window=4 if setting == "computed" else 8)
    balance(tagger, posts)
    return tagger, posts


def rows(
    settings: Sequence[str],
    callers: Sequence[int],
    *,
    posts: int,
    data: Path | None,
    rounds: int,
    threads: Sequence[int],
) -> Iterator[str]:
    """One comparison after the other."""
    for setting in settings:
        with tempfile.TemporaryDirectory() as temporary:
            tagger, sentences = subject(setting, posts, data, Path(temporary))
            for count in callers:
                works = ways(tagger, sentences, count)
                title = f"{setting}, {count} caller{'s' if count > 1 else ''}"
                yield from compare(title, works, rounds=rounds, threads=threads, per=len(sentences))


def agreement(posts: int) -> Iterator[str]:
    """How the answers of eight threads compare with those of one, in words."""
    tagger, sentences = subject("computed", posts, None, Path())
    for sentence in sentences:
        tagger.predict(sentence, label_name="alone")
    for name in ("`predict`", "`DynamicBatcher`"):
        copies = [_copy(sentence) for _ in range(CHECKED_THREADS) for sentence in sentences]
        with DynamicBatcher(tagger) as batcher:
            by_callers(tagger.predict if name == "`predict`" else batcher.predict, copies, CHECKED_THREADS)
        compared = [_difference(mine, alone) for mine, alone in zip(copies, sentences * CHECKED_THREADS, strict=True)]
        same = [difference for difference in compared if difference is not None]
        yield (
            f"{name}: {len(same):,} of {len(copies):,} posts have the entities and regions of one thread, "
            f"scores apart by {max(same, default=0.0):.1e} at most"
        )


def _copy(sentence: Sentence) -> Sentence:
    copy = Sentence([token.text for token in sentence])
    for key in ("image", "caption"):
        if sentence.has_metadata(key):
            copy.add_metadata(key, sentence.get_metadata(key))
    return copy


def _difference(mine: Sentence, alone: Sentence) -> float | None:
    """Return the largest difference between two scores; None where entities or regions differ."""
    found, expected = mine.get_labels("ner"), alone.get_labels("alone")
    pairs = list(zip(found, expected, strict=False))
    if len(found) != len(expected) or any(
        (one.unlabeled_identifier, one.value) != (other.unlabeled_identifier, other.value)
        or _edges(one.metadata.get("region")) != _edges(other.metadata.get("region"))
        for one, other in pairs
    ):
        return None
    return max((abs(one.score - other.score) for one, other in pairs), default=0.0)


def _edges(region: object) -> object:
    return region and [getattr(region, edge) for edge in ("left", "top", "right", "bottom")]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, posts=160, rounds=3)
    options.add_argument("--callers", type=int, nargs="+", default=[1, 16])
    options.add_argument("--settings", nargs="*", choices=SETTINGS, default=SETTINGS)
    options.add_argument("--check", type=int, metavar="POSTS", help="posts for each of eight threads")
    chosen = options.parse_args(arguments)
    measured = rows(
        chosen.settings,
        chosen.callers,
        posts=chosen.posts,
        data=chosen.data,
        rounds=chosen.rounds,
        threads=chosen.threads,
    )
    print_table(measured, unit="ms a post")
    if chosen.check:
        print("", *agreement(chosen.check), sep="\n")


if __name__ == "__main__":
    main()
