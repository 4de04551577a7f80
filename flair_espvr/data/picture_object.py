"""A thing that a detector saw in a picture: what it is called, how sure the detector is, and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flair_espvr.data.region import Box, checked_box, is_image_index


@dataclass(frozen=True, slots=True, repr=False)
class PictureObject:
    """One object in a picture, as an object detector or a person names it.

    Attributes:
        label: what it is: a class name ("person", "traffic light") or the prompt that found it, never a number.
        score: the detector's confidence, 0..1.
        box: `(left, top, right, bottom)` in fractions of the picture's width and height; it has an area.
        attributes: what else is said of it ("red", "wooden").
        image: which of the post's pictures it is in, from 0.

    Raises:
        ValueError: one of these is not as described; the message says what was expected.
    """

    label: str
    score: float
    box: Box
    attributes: tuple[str, ...] = ()
    image: int = 0

    def __post_init__(self) -> None:
        for name in (self.label, *self.attributes):
            if not isinstance(name, str) or not name.strip() or not _is_unicode(name):
                raise ValueError(f"a label and attributes should be texts that are not empty, not {name!r}")
        if not isinstance(self.score, int | float) or not 0 <= self.score <= 1:  # NaN is in no range
            raise ValueError(f"a score should be a number in 0..1, not {self.score!r}")
        object.__setattr__(self, "box", checked_box(self.box))
        if not is_image_index(self.image):
            raise ValueError(f"an object's picture should be a whole number from 0 on, not {self.image!r}")

    def __repr__(self) -> str:
        """Return the fields, without the picture where it is the first."""
        names = ["label", "score", "box", "attributes", *(["image"] if self.image else [])]
        return f"PictureObject({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def __str__(self) -> str:
        """Return the attributes and the label, as a text says them.

        >>> str(PictureObject("traffic light", 0.9, (0.1, 0.1, 0.2, 0.4), attributes=("red",)))
        'red traffic light'
        """
        return " ".join((*self.attributes, self.label))


def object_from_json(plain: Any) -> PictureObject:
    """Return the object that `object_to_json` wrote, or that another program wrote in that form.

    Raises:
        ValueError: it is of another form; the message says what was expected.
    """
    match plain:
        case {"label": label, "score": score, "box": box}:
            attributes = plain.get("attributes") or []
            if not isinstance(attributes, list):
                raise ValueError(f"'attributes' should be a list of texts, not {attributes!r}")
            image = plain.get("image")
            return PictureObject(label, score, box, tuple(attributes), 0 if image is None else image)
        case _:
            raise ValueError("an object should have a 'label', a 'score' and a 'box'")


def object_to_json(found: PictureObject) -> Mapping[str, Any]:
    """Return an object as JSON values: `{"label": ..., "score": ..., "box": [left, top, right, bottom], ...}`."""
    named: dict[str, Any] = {"attributes": list(found.attributes)} if found.attributes else {}
    if found.image:
        named["image"] = found.image
    return {"label": found.label, "score": found.score, "box": list(found.box), **named}


def _is_unicode(text: str) -> bool:
    """Whether a text is free of half surrogate pairs, which no file can hold."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
