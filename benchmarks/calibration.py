"""Whether the scores of entities are what they say: of those with 0.8, eight in ten should be right.

    python -m benchmarks.calibration FOLDER MODEL [MODEL ...] [--read FOLDER] [--renamed TYPE=NAME ...] [--trust]

A folder holds `train.txt`, `valid.txt`, `test.txt` and `captions.tsv`; an entity is right where span and type are gold.
An `ESPVRTagger` is shown with the scores of its CRF as trained and as calibrated on the development posts, other
taggers as they are. For each there are the mean score of the test posts' entities beside their precision, the expected
calibration error (the distance of both, averaged over ten bins of equally many entities), and the Brier score; then,
for all models together, the entities by score and how many of them are right.

With `--read` the test posts are another corpus's: the temperature of the first folder's development posts is shown
beside the one that those of the read folder give. `--renamed OTHER=MISC` gives a type of the files the name that the
models know it by, as `TWITTER_2015` does.
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr import ESPVRTagger, MultimodalCorpus
from flair_espvr.data.sentences import sentence_entities
from flair_espvr.models.loading import load_tagger

BINS = 10
EDGES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def scored(tagger: Classifier[Sentence], posts: list[Sentence]) -> np.ndarray:
    """Score and correctness (0 or 1) of each predicted entity, (N,2)."""
    tagger.predict(posts, label_name="predicted")
    rows = []
    for post in posts:
        gold = set(sentence_entities(post, "ner"))
        for label, entity in zip(post.get_labels("predicted"), sentence_entities(post, "predicted"), strict=True):
            rows.append((label.score, entity in gold))
    return np.array(rows, dtype=float)


def expected_calibration_error(found: np.ndarray) -> float:
    """Return the distance of score and precision, a weighted mean over `BINS` bins of equally many entities."""
    parts = np.array_split(found[found[:, 0].argsort()], min(BINS, len(found)))
    return float(sum(abs(part[:, 0].mean() - part[:, 1].mean()) * len(part) for part in parts) / len(found))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="FOLDER")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--read", type=Path, metavar="FOLDER", help="corpus whose test posts are read instead")
    parser.add_argument(
        "--renamed", nargs="+", type=_renamed, default=[], metavar="TYPE=NAME", help="the models' names of types"
    )
    parser.add_argument("--trust", action="store_true", help="also read Flair's own taggers, which runs code in them")
    chosen = parser.parse_args(arguments)
    renamed = dict(chosen.renamed)
    corpus = _corpus(chosen.data, renamed)
    fitted = {"calibrated": list(corpus.dev)}
    if chosen.read is not None:
        corpus = _corpus(chosen.read, renamed)
        fitted["calibrated on the corpus read"] = list(corpus.dev)
    test = list(corpus.test)
    together: dict[str, list[np.ndarray]] = defaultdict(list)
    print("| model | entities | mean score | precision | calibration error | Brier |\n|---|---|---|---|---|---|")
    for path in chosen.models:
        tagger = load_tagger(path, trusted=chosen.trust)
        if isinstance(tagger, ESPVRTagger):
            tagger.network.tag_crf.temperature = 1.0
            _show(path, "as trained", scored(tagger, test), together)
            for how, development in fitted.items():
                temperature = tagger.calibrate(development)
                _show(path, f"{how}, {temperature:.2f}", scored(tagger, test), together)
        else:
            _show(path, "as it is", scored(tagger, test), together)
    for how, found in together.items():
        print(f"\n| {how}: score | entities | mean score | right |\n|---|---|---|---|")
        rows = np.concatenate(found)
        for low, high in itertools.pairwise(EDGES):
            part = rows[(rows[:, 0] > low) & (rows[:, 0] <= high)]
            if len(part):
                print(f"| {low:g} to {high:g} | {len(part)} | {part[:, 0].mean():.3f} | {part[:, 1].mean():.3f} |")


def _renamed(value: str) -> tuple[str, str]:
    name, equals, new_name = value.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{value!r} should be TYPE=NAME")
    return name, new_name


def _corpus(folder: Path, renamed: Mapping[str, str]) -> MultimodalCorpus:
    return MultimodalCorpus(folder, captions=folder / "captions.tsv", label_name_map=renamed)


def _show(path: Path, how: str, found: np.ndarray, together: dict[str, list[np.ndarray]]) -> None:
    together[how.partition(",")[0]].append(found)
    brier = ((found[:, 0] - found[:, 1]) ** 2).mean()
    score, precision = found.mean(axis=0)
    error = expected_calibration_error(found)
    print(
        f"| {path}: {how} | {len(found)} | {score:.3f} | {precision:.3f} | {error:.3f} | {brier:.3f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
