"""What a sentence carries besides its words: Flair metadata under these keys, every one optional."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flair.data import Sentence

IMAGE = "image"
"""The post's picture, an `ImageSource`: a path, a file's bytes, an opened picture or its pixels. Flair's convention. A
list of them where the post has several."""

CAPTION = "caption"
"""A sentence that describes the picture, as `str`, or several, as a list of them."""

TAGS = "tags"
"""Names of what the picture shows, with or without attributes, as `str`."""

OCR = "ocr"
"""Text that stands in the picture, as `str`."""

KNOWLEDGE = "knowledge"
"""Text about the post from elsewhere, as `str`."""

OBJECTS = "objects"
"""What a detector saw in the picture, as a list of `PictureObject`; an empty list where it looked and saw nothing."""

CONTEXTS = (CAPTION, TAGS, OCR, KNOWLEDGE, OBJECTS)
"""All that an encoder may read after a post's words."""

IMAGE_ID = "image_id"
"""The picture's name in its corpus (the `<id>` of an `IMGID:<id>` line), as `str`."""


RECORD = "record"
"""The JSON object that the post was read from, where it was."""

REGION = "region"
"""Of a label, not of a sentence: the `Region` that shows the entity, and the field it is written to. A predicted label
without it says that the picture does not show the entity, or that there is no picture."""

REGIONS = "regions"
"""Of a gold label: a tuple of the `Region`s that show the entity, empty where it is stated that the picture does not.
Without the key nobody has said."""

GROUNDED = "grounded"
"""Of a predicted label: how probable it is that the picture shows the entity, 0..1."""

RELEVANCE = "relevance"
"""Of a predicted label, where it is asked for: a numpy array, (H, W), of how probable it is that each cell of the
picture's grid is part of what the entity names; (K, H, W), zero where one cannot be read, of a post with several
pictures, the last of which that can be read is the K-th."""

INVALID_TAG = "invalid_tag"
"""Of a gold label: its entity opens with an invalid `I-` tag, and strict IOB2 does not count it."""

IMAGE_ERROR = "image_error"
"""Why the post's picture was not used, as `str`: a tagger that looks at pictures leaves it where one cannot be read. Of
a post with several pictures, the reasons as a dict, by the index of the picture; see `image_errors`."""


def metadata_or_none(sentence: "Sentence", key: str) -> Any:
    """Return the sentence's metadata under `key`, or `None`: Flair's own `get_metadata` raises a bare `KeyError`."""
    return sentence.get_metadata(key) if sentence.has_metadata(key) else None


def sentence_images(sentence: "Sentence") -> list[Any]:
    """Return a sentence's pictures, in their order; none, one or several."""
    images = metadata_or_none(sentence, IMAGE)
    if images is None:
        return []
    return list(images) if isinstance(images, list | tuple) else [images]


def image_errors(sentence: "Sentence") -> dict[int, str]:
    """Return why pictures of a sentence were not used, by their index; empty where all were, or it has none."""
    errors = metadata_or_none(sentence, IMAGE_ERROR)
    if errors is None:
        return {}
    return {0: errors} if isinstance(errors, str) else dict(errors)
