"""Finding objects in pictures: what a detector is, and what one may say."""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from PIL import Image

from flair_espvr.data.picture_object import PictureObject
from flair_espvr.errors import ConfigurationError

_DECIMALS = 6
"""Of scores and edges in a file: a ten-thousandth of a pixel, and short lines."""


class ObjectDetector(Protocol):
    """Anything that finds objects; implement this one method for a model or service of your own.

    `flair_espvr.annotators.object_writer.detect_objects` takes any such object and writes the file.
    """

    def detect(self, pictures: Sequence[Image.Image], prompts: Sequence[str] | None) -> list[list[PictureObject]]:
        """Find the objects in each picture.

        Args:
            pictures: of mode `"RGB"`, of any and of different sizes; they must not be changed.
            prompts: what to look for; None for all that the detector knows.

        Returns:
            the objects of each picture, in order; an empty list where there are none.

        Raises:
            ConfigurationError: the detector takes no prompts, or nothing but prompts.
        """
        ...


def found_objects(
    labels: Iterable[str], scores: Iterable[float], boxes: Iterable[Sequence[float]], size: tuple[int, int]
) -> list[PictureObject]:
    """Objects of detections in pixels.

    A box is cut to the picture; what has no area in it, or a number that is not finite, is no object.

    Args:
        labels: what each is.
        scores: how sure the detector is of each.
        boxes: left, top, right and bottom of each, in pixels; may reach out of the picture.
        size: width and height of the picture, in pixels.
    """
    width, height = size
    objects = []
    for label, score, box in zip(labels, scores, boxes, strict=True):
        edges = [edge / length for edge, length in zip(box, (width, height, width, height), strict=True)]
        if not all(map(math.isfinite, (score, *edges))):
            continue
        left, top, right, bottom = (round(min(max(edge, 0.0), 1.0), _DECIMALS) for edge in edges)
        if left < right and top < bottom and label.strip():
            sureness = round(min(max(score, 0.0), 1.0), _DECIMALS)
            objects.append(PictureObject(label, sureness, (left, top, right, bottom)))
    return objects


def refuse_prompts(prompts: Sequence[str] | None, detector: str) -> None:
    """Stop where a detector of fixed classes is given prompts.

    Raises:
        ConfigurationError: there are prompts.
    """
    if prompts is not None:
        raise ConfigurationError(
            f"{detector} finds the classes that it was trained on and takes no prompts; leave them out, or take a "
            "Grounding DINO, OWLv2 or Florence-2"
        )


def require_prompts(prompts: Sequence[str] | None, detector: str) -> list[str]:
    """Return the prompts of a detector that finds what it is asked for.

    Raises:
        ConfigurationError: there are none, or an empty one.
    """
    if not prompts or not all(prompt.strip() for prompt in prompts):
        raise ConfigurationError(f"{detector} finds what it is asked for; give prompts, such as person,location")
    return list(prompts)
