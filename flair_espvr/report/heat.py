"""A map of how much of a picture belongs to an entity, as a small see-through picture to lay over it."""

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

LEVELS = 16
"""Steps of the colours: more are not told apart, and four bits a cell keep a page small."""

MOST_CELLS = 48
"""Rows or columns of cells at most; a finer map is reduced to as many."""

_STRONGEST = 0.65
"""How little of the picture shows through where the map is 1."""

_COLOURS = np.array([(255, 236, 120), (255, 170, 40), (226, 70, 30), (150, 0, 60)], dtype=float)
"""From weak to strong; light to dark, so that they are told apart without colour too."""


def heat_image(relevance: ArrayLike) -> Image.Image:
    """Return the map in colours, a pixel for a cell, on no colour where it is 0.

    Args:
        relevance: (H, W) for each cell how probable it is that it shows the entity, 0..1. A map that sums to 1 is an
            attention, and is shown relative to its largest cell.

    Returns:
        A picture of few colours with transparency.
    """
    cells = np.nan_to_num(np.asarray(relevance, dtype=float)).clip(0.0, 1.0)
    if abs(cells.sum() - 1.0) < 1e-3:
        cells = cells / cells.max()
    levels = np.rint(cells * (LEVELS - 1)).astype(np.uint8)
    strength = np.linspace(0.0, 1.0, LEVELS)
    places = strength * (len(_COLOURS) - 1)
    channels = [np.interp(places, range(len(_COLOURS)), channel) for channel in _COLOURS.T]
    image = Image.fromarray(levels)
    if max(image.size) > MOST_CELLS:
        image.thumbnail((MOST_CELLS, MOST_CELLS), Image.Resampling.BOX)
    image = image.convert("P")
    image.putpalette(np.stack(channels, axis=1).astype(np.uint8).tobytes())
    image.info["transparency"] = (255 * _STRONGEST * strength).astype(np.uint8).tobytes()
    return image
