"""Posts as spaCy reads them for training: a `DocBin` of documents with entities (`python -m spacy train`)."""

from collections.abc import Iterable
from itertools import pairwise
from typing import BinaryIO

from flair_espvr.data.formats.labelled import LabelledPost
from flair_espvr.errors import ConfigurationError


def write_docbin(posts: Iterable[LabelledPost], file: BinaryIO) -> int:
    """Write posts as a `DocBin`, which is made in memory; returns how many.

    Words are those of the post, with the spaces of its text or, where it has only words, one between each two. A
    document's `user_data` has the post's `"image_id"`, where it has one.

    Raises:
        ConfigurationError: spaCy is not installed.
    """
    try:
        from spacy.tokens import Doc, DocBin, Span
        from spacy.vocab import Vocab
    except ModuleNotFoundError:
        raise ConfigurationError("writing spaCy's format needs spaCy: pip install 'flair-espvr[spacy]'") from None
    vocabulary, documents = Vocab(), DocBin(store_user_data=True)
    for post in posts:
        document = Doc(vocabulary, words=list(post.words), spaces=_spaces(post))
        document.ents = [Span(document, one.start, one.end, label=one.type) for one in post.entities]
        if post.post.image_id is not None:
            document.user_data["image_id"] = post.post.image_id
        documents.add(document)
    file.write(documents.to_bytes())
    return len(documents)


def _spaces(post: LabelledPost) -> list[bool]:
    """Whether a space follows each word."""
    if post.offsets.unit == "words":
        return [word + 1 < len(post.words) for word in range(len(post.words))]
    places = [post.offsets.span(word, word + 1) for word in range(len(post.words))]
    return [before[1] < after[0] for before, after in pairwise(places)] + [False] * bool(places)
