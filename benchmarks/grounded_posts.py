"""Posts with gold regions for a benchmark: drawn ones, photographs from a folder, and what is made of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from flair.data import Sentence

from flair_espvr import POSTS
from flair_espvr.data.metadata import IMAGE, IMAGE_ID, RECORD, REGIONS
from flair_espvr.data.post import Post
from flair_espvr.data.sentences import post_sentence
from synthetic.grounded import Shares, write_grounded_scenes

DRAWN: Mapping[str, tuple[Shares, Mapping[str, int]]] = MappingProxyType(
    {
        "scenes": (Shares(), {"train": 1200, "valid": 150, "test": 300}),
        "large": (
            Shares(absent=0.0, typed=0.0, second=0.0, several=0.0, area=(0.2, 0.2)),
            {"train": 800, "valid": 100, "test": 200},
        ),
    }
)
"""The drawn corpora: posts with absences and objects of any size, and objects that all fill a fifth of the picture."""

UNTELLING = frozenset({"OTHER", "SCENE"})
"""Types of phrases that are of too many kinds for two to be of the same thing."""

LABEL = "ner"


def read_corpus(name: str, cache: Path) -> POSTS:
    """Return a drawn corpus by its name, drawn into `cache` if it is not there yet, or the posts of a folder."""
    folder = Path(name)
    if name in DRAWN:
        shares, sizes = DRAWN[name]
        folder = cache / "-".join([name, *map(str, sizes.values())])
        if not (folder / "test.jsonl").exists():
            write_grounded_scenes(folder, **sizes, shares=shares)
    return POSTS(folder, dev_file="valid.jsonl", sample_missing_splits=False)


def without_regions(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences, whose gold labels no longer say where; they are changed in place."""
    sentences = list(sentences)
    for sentence in sentences:
        for span in sentence.get_spans(LABEL):
            label = span.get_label(LABEL)
            known = {key: value for key, value in label.metadata.items() if key != REGIONS}
            span.set_label(LABEL, label.value, label.score, **known)
    return sentences


def with_other_pictures(sentences: Sequence[Sentence], rng: np.random.Generator) -> list[Sentence]:
    """Copy of sentences with the picture of another one, which is stated to show none of their entities.

    That it shows none is taken from its own sentence: it must share no type of entity, save those that tell little,
    and no word of an entity. A sentence that no other differs from so much has no copy.
    """
    telling = [{span.tag for span in sentence.get_spans(LABEL)} - UNTELLING for sentence in sentences]
    words = [
        {token.text.lower() for span in sentence.get_spans(LABEL) for token in span if len(token.text) > 3}
        for sentence in sentences
    ]
    copies = []
    for place, sentence in enumerate(sentences):
        others = [
            other
            for other in range(len(sentences))
            if other != place and telling[place].isdisjoint(telling[other]) and words[place].isdisjoint(words[other])
        ]
        if not others or not sentence.get_spans(LABEL):
            continue
        giver = sentences[others[int(rng.integers(len(others)))]]
        record = sentence.get_metadata(RECORD)
        entities = [{**entity, REGIONS: []} for entity in record["entities"]]
        image, image_id = giver.get_metadata(IMAGE), giver.get_metadata(IMAGE_ID)
        post = Post(image_id, tokens=None, record={**record, "entities": entities}, image=image)
        copies.append(post_sentence(post, label_type=LABEL))
    return copies
