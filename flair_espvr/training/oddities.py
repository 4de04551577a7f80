"""What is said before a training: what posts were found, and what of them will make its scores a surprise."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from flair.data import Sentence

from flair_espvr.data import MultimodalCorpus
from flair_espvr.data.encoder_fit import read_tokenizer
from flair_espvr.data.metadata import sentence_images
from flair_espvr.data.sentences import sentence_entities
from flair_espvr.errors import BadImageError, ConfigurationError
from flair_espvr.images.loading import content_key
from flair_espvr.io.pretrained import find_model
from flair_espvr.training.recipes.recipe import Recipe
from flair_espvr.training.recipes.sections import CaptionedTransformer, EmbeddingsSection, Stack, Transformer

log = logging.getLogger("flair.espvr.training")

_POSTS_LOOKED_AT = 1_000
_PICTURES_LOOKED_AT = 200
_FEWEST_PICTURES = 10
"""Fewer that are the same are no wonder."""

_SHOWN_TYPES = 8

_WITH_POSTS = ("pictures", "captions")


def found(corpus: MultimodalCorpus, label_type: str) -> str:
    """One line about a corpus: posts by split, pictures, captions, and the types of its entities."""
    named = {"training": corpus.train, "development": corpus.dev, "test": corpus.test}
    posts = ", ".join(f"{len(split or ())} {name}" for name, split in named.items())
    pictures, captions = (sum(getattr(one, kind) for one in corpus.summary.values()) for kind in _WITH_POSTS)
    types = Counter(type_ for split in named.values() for type_ in _types(split, label_type).elements())
    shown = [f"{type_} ({count:,})" for type_, count in types.most_common(_SHOWN_TYPES)]
    more = [f"{len(types) - _SHOWN_TYPES} more"] if len(types) > _SHOWN_TYPES else []
    return (
        f"{corpus.name}: {posts} posts; {pictures} pictures, {captions} captions; "
        f"types {', '.join([*shown, *more]) or 'none'}"
    )


def warn_about(recipe: Recipe, corpus: MultimodalCorpus) -> None:
    """Say in the log, as warnings, what of a recipe's posts will make its scores a surprise."""
    for oddity in oddities(recipe, corpus):
        log.warning("%s: %s", corpus.name, oddity)


def oddities(recipe: Recipe, corpus: MultimodalCorpus) -> Iterator[str]:
    """Each of them in words."""
    label_type = recipe.corpus.label_type
    train, dev, test = (_types(split, label_type) for split in (corpus.train, corpus.dev, corpus.test))
    if corpus.dev and not dev:
        yield (
            f"none of the {len(corpus.dev)} development posts has an entity, so every epoch's score is 0, no epoch is "
            "better than another, and scores are not calibrated"
        )
    for name, split in (("development", dev), ("test", test)):
        if unseen := {type_: count for type_, count in split.items() if type_ not in train}:
            counts = ", ".join(f"{type_} ({count})" for type_, count in unseen.items())
            yield f"types of {name} posts that no training post has, and that cannot be learned: {counts}"
    if recipe.regions is not None and (same := _same_pictures(corpus.train or ())):
        yield same
    yield from _encoder_problems(recipe.embeddings, corpus)


def _types(posts: Iterable[Sentence] | None, label_type: str) -> Counter[str]:
    return Counter(entity.type for post in posts or () for entity in sentence_entities(post, label_type))


def _same_pictures(posts: Iterable[Sentence]) -> str:
    """Return what to say of pictures most of which are one, as the "no longer available" of a service; else nothing."""
    keys: Counter[bytes] = Counter()
    example: dict[bytes, object] = {}
    for image in islice((image for post in posts for image in sentence_images(post)), _PICTURES_LOOKED_AT):
        try:
            key = content_key(image)
        except BadImageError:
            continue
        keys[key] += 1
        example.setdefault(key, image)
    if keys.total() < _FEWEST_PICTURES:
        return ""
    (key, copies) = keys.most_common(1)[0]
    if 2 * copies < keys.total():
        return ""
    return (
        f"{copies} of the first {keys.total()} training pictures are the same picture ({str(example[key])[:200]}), "
        "which tells nothing about the posts"
    )


def _encoder_problems(section: EmbeddingsSection, corpus: MultimodalCorpus) -> Iterator[str]:
    for part in section.parts if isinstance(section, Stack) else (section,):
        if not isinstance(part, CaptionedTransformer | Transformer):
            continue
        try:
            tokenizer = read_tokenizer(find_model(part.model))
        except ConfigurationError as error:  # it may be of another form, which is not for this place to judge
            log.debug("%s", error)
            continue
        posts = islice(corpus.train or (), _POSTS_LOOKED_AT)
        fit = tokenizer.fit([token.text for token in post] for post in posts)
        yield from (f"{part.model}: {problem}" for problem in fit.problems())
