"""Parts of pictures for a backbone: what they are called in a store, and how they are cut out."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from itertools import groupby
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from PIL import Image

from flair_espvr.data.region import Box
from flair_espvr.errors import BadImageError
from flair_espvr.images.loading import KEY_BYTES, ImageSource, load_image
from flair_espvr.images.store.header import RegionHeader

CROP_FOLDER = "crops"
"""Where a region store keeps the vectors of crops: a store of its own in this folder of it."""


class Crop(NamedTuple):
    """A part of a picture: the picture's content key, and the part's box."""

    picture: bytes
    box: Box

    @property
    def key(self) -> bytes:
        """`KEY_BYTES` bytes that name picture and box."""
        return blake2b(struct.pack("<4d", *self.box), digest_size=KEY_BYTES, key=self.picture, person=b"crop").digest()


def crop_header(header: RegionHeader) -> RegionHeader:
    """Return what the vectors of crops depend on: all that regions do, without a grid."""
    return replace(header, grid=(0, 0))


def crop_pixels(
    crops: Iterable[Crop], sources: Mapping[bytes, ImageSource], image_size: int
) -> tuple[dict[bytes, np.ndarray], dict[bytes, BadImageError]]:
    """Cut parts out of their pictures; a picture is decoded once for all its crops that follow one another.

    Args:
        crops: the parts.
        sources: the pictures by content key.
        image_size: pixels a side of the square that each part is squashed to.

    Returns:
        The squares, uint8 (S,S,3), by the keys of the crops, and the errors of pictures that cannot be read, by theirs.
    """
    squares: dict[bytes, np.ndarray] = {}
    errors: dict[bytes, BadImageError] = {}
    for picture, parts in groupby(crops, key=lambda crop: crop.picture):
        try:
            image = load_image(sources[picture])
        except BadImageError as error:
            errors[picture] = error
            continue
        for crop in parts:
            squares[crop.key] = _square(image, crop.box, image_size)
    return squares, errors


def _square(image: Image.Image, box: Box, size: int) -> np.ndarray:
    """All pixels that the box touches, squashed."""
    left, top = floor(box[0] * image.width), floor(box[1] * image.height)
    right, bottom = max(ceil(box[2] * image.width), left + 1), max(ceil(box[3] * image.height), top + 1)
    part = image.crop((left, top, right, bottom))
    return np.asarray(part.resize((size, size), Image.Resampling.BICUBIC))
