"""Photographs whose captions bear made-up names in half of the posts, so that only looking tells the types.

A folder has `train.jsonl`, `valid.jsonl` and `test.jsonl`, whose posts name their pictures and label phrases with types
and `"regions"`. In half of the training and of the development posts every phrase is replaced by a name of its own,
which nobody bears and which occurs once; the other half is left as it is. Of every test post there are both, so the two
halves are of the same photographs and phrases. What is left of a sentence may still hint at a type: what that is worth
a tagger says that does not look.

Objects are the gold regions as `benchmarks.noisy_objects` spoils them, the same in both forms of a post; the labels
themselves no longer say where, since taggers would learn from that.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset

from benchmarks.grounded_posts import LABEL, read_corpus
from benchmarks.noisy_objects import add_noisy_phrases
from benchmarks.told import MADE_UP
from flair_espvr.data.metadata import IMAGE, IMAGE_ID, OBJECTS, metadata_or_none
from synthetic.names import made_up_names

Name = Sequence[str]


def read_named_posts(folder: Path, *, seed: int = 1) -> Corpus[Sentence]:
    """Return the posts of a folder, half of them with made-up names.

    Args:
        folder: see above.
        seed: decides which posts, the names, and what is wrong with the objects.
    """
    corpus = read_corpus(str(folder), folder)
    splits = [list(split) for split in (corpus.train, corpus.dev, corpus.test)]
    posts = [post for split in splits for post in split]
    add_noisy_phrases(posts, phrase_words(posts), seed=seed)
    rng = np.random.default_rng(seed)
    names = iter(made_up_names(rng, sum(len(post.get_spans(LABEL)) for post in posts)))
    train, dev = (_half_named(split, names, rng) for split in splits[:2])
    test = [form for post in splits[2] for form in (rewritten(post), rewritten(post, names))]
    return Corpus(*map(FlairDatapointDataset, (train, dev, test)), name=corpus.name, sample_missing_splits=False)


def phrase_words(sentences: Sequence[Sentence]) -> Mapping[str, str]:
    """Return what the things of each type are called by those who detect objects."""
    types = {span.tag for sentence in sentences for span in sentence.get_spans(LABEL)}
    return {name: name.lower() for name in sorted(types)}


def rewritten(sentence: Sentence, names: Iterator[Name] | None = None) -> Sentence:
    """Copy of a sentence, its picture and objects, whose phrases are replaced by the next names where there are any.

    Labels keep their types alone; the phrases that are names count as `MADE_UP`.
    """
    texts = [token.text for token in sentence]
    words: list[str] = []
    places = []
    end = 0
    for span in sentence.get_spans(LABEL):
        start = span[0].idx - 1
        words += texts[end:start]
        end = span[-1].idx
        phrase = texts[start:end] if names is None else next(names)
        places.append((len(words), len(words) + len(phrase), span.tag))
        words += phrase
    copy = Sentence([*words, *texts[end:]])
    for start, stop, name in places:
        copy[start:stop].add_label(LABEL, name)
    for key in (IMAGE, IMAGE_ID, OBJECTS):
        if (value := metadata_or_none(sentence, key)) is not None:
            copy.add_metadata(key, value)
    copy.add_metadata(MADE_UP, 0 if names is None else len(places))
    return copy


def _half_named(sentences: Sequence[Sentence], names: Iterator[Name], rng: np.random.Generator) -> list[Sentence]:
    named = set(rng.permutation(len(sentences))[: len(sentences) // 2].tolist())
    return [rewritten(sentence, names if place in named else None) for place, sentence in enumerate(sentences)]
