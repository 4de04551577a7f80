"""What legal tags alone are worth: Flair's tagger with a CRF, decoded as it is and where no tag may break BIO2.

    python -m benchmarks.legal_decoding FOLDER MODEL [MODEL ...] --trust

FOLDER holds `test.txt`. The CRF of Flair's `SequenceTagger` learns that I-X neither begins an entity nor follows one of
another type, but may answer so all the same. Here a trained one is decoded twice, the second time with transitions to
such tags impossible; nothing is trained. For each model there are the tags that broke BIO2 and span-F1.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from flair.data import Dictionary, Sentence
from flair.models import SequenceTagger
from flair.models.sequence_tagger_utils.crf import START_TAG

from flair_espvr import MultimodalCorpus
from flair_espvr.evaluation.evaluate import evaluate
from flair_espvr.models.loading import load_tagger

IMPOSSIBLE = -10_000.0
"""What Flair gives to transitions that cannot be."""


def breaks_bio2(previous: str, tag: str) -> bool:
    """Whether a tag cannot follow another one, or `START_TAG`: I-X comes after B-X and I-X only."""
    return tag.startswith("I-") and previous not in (f"B-{tag[2:]}", tag)


def illegal_transitions(tags: Dictionary) -> torch.Tensor:
    """Which transitions break BIO2, (tags, tags) bool, in Flair's order: to the first from the second."""
    names = tags.get_items()
    return torch.tensor([[breaks_bio2(previous, tag) for previous in names] for tag in names])


@contextmanager
def legal(tagger: SequenceTagger) -> Iterator[None]:
    """Make illegal transitions impossible for the block."""
    transitions = tagger.crf.transitions.data
    before = transitions.clone()
    transitions[illegal_transitions(tagger.label_dictionary).to(transitions.device)] = IMPOSSIBLE
    try:
        yield
    finally:
        transitions.copy_(before)


def broken_tags(tagger: SequenceTagger, posts: list[Sentence]) -> int:
    """Count the words whose predicted tag breaks BIO2."""
    layer = "tag"
    tagger.predict(posts, label_name=layer, force_token_predictions=True)
    count = 0
    for post in posts:
        tags = [word.get_label(layer).value for word in post]
        count += sum(breaks_bio2(*pair) for pair in zip([START_TAG, *tags], tags, strict=False))
        post.remove_labels(layer)
    return count


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="FOLDER")
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--trust", action="store_true", help="read Flair's taggers, which runs code in them")
    chosen = parser.parse_args(arguments)
    corpus = MultimodalCorpus(
        chosen.data, train_file=None, dev_file=None, captions=False, images=False, sample_missing_splits=False
    )
    posts = list(corpus.test)
    print("| model | tags that break BIO2 | F1, lenient | F1, strict | legal: F1 |\n|---|---|---|---|---|")
    for path in chosen.models:
        tagger = load_tagger(path, trusted=chosen.trust)
        if not isinstance(tagger, SequenceTagger) or not tagger.use_crf or tagger.tag_format.upper() != "BIO":
            raise SystemExit(f"{path}: expected a SequenceTagger of Flair's with a CRF over BIO tags")
        broken = broken_tags(tagger, posts)
        free = evaluate(tagger, posts, gold_label_type="ner")
        with legal(tagger):
            bound = evaluate(tagger, posts, gold_label_type="ner")
        scores = [100 * scores.micro.f1 for scores in (free.lenient, free.strict, bound.lenient)]
        print(f"| {path} | {broken} | {' | '.join(f'{score:.2f}' for score in scores)} |", flush=True)


if __name__ == "__main__":
    main()
