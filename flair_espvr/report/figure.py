"""One post as a figure, for a notebook: the picture once for each entity, with its map, its region and gold boxes."""

from typing import TYPE_CHECKING

import numpy as np
from flair.data import Sentence

from flair_espvr.data.metadata import IMAGE, sentence_images
from flair_espvr.data.region import Region
from flair_espvr.errors import ConfigurationError
from flair_espvr.images.loading import ImageSource, load_image
from flair_espvr.report.entities import Mention, read_entities
from flair_espvr.report.heat import heat_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE = 3.2
"""Width and height of a panel, in inches."""

_COLUMNS = 4
"""Panels beside each other at most."""

_LARGEST = 640
"""Longest side of the picture in the figure, in pixels."""


def entity_figure(sentence: Sentence, *, label_type: str = "ner", gold_label_type: str | None = None) -> "Figure":
    """Draw a tagged post's picture once for each of its entities, as a matplotlib figure.

    A panel shows the map of `predict(..., return_relevance=True)` where the label has one, the region as a box, gold
    boxes dashed, and is grey where the answer is that the picture does not show the entity. Of several pictures it
    shows the one that has the region or, without one, the first gold box, or the largest value of the map.

    Args:
        sentence: A tagged post with a picture.
        label_type: Where the tagger put its labels.
        gold_label_type: Where the gold labels are; without it, gold boxes are those of the labels themselves.

    Returns:
        A figure that belongs to no window, for `figure.savefig(path)`, or the value of a notebook's cell.

    Raises:
        ConfigurationError: The sentence has no picture.
        BadImageError: The picture cannot be read.
    """
    from matplotlib.figure import Figure

    sources = sentence_images(sentence)
    if not sources:
        raise ConfigurationError(f"entity_figure: {sentence.text[:60]!r} has no picture under metadata {IMAGE!r}")
    pictures: dict[int, np.ndarray] = {}
    entities = read_entities(sentence, label_type, gold_label_type)
    columns = max(1, min(_COLUMNS, len(entities)))
    rows = max(1, -(-len(entities) // columns))
    figure = Figure(figsize=(_SIDE * columns, _SIDE * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    if not entities:
        panels[0].imshow(_pixels(sources[0]))
        panels[0].set_title("no entity found")
    for panel, entity in zip(panels, entities, strict=False):
        place = _drawn_on(entity)
        if place not in pictures:
            pictures[place] = _pixels(sources[place])
        _draw(panel, pictures[place], entity, place)
    return figure


def _pixels(source: ImageSource) -> np.ndarray:
    picture = load_image(source, shrink_to=_LARGEST)
    picture.thumbnail((_LARGEST, _LARGEST))
    return np.asarray(picture)


def _drawn_on(entity: Mention) -> int:
    """Which of the post's pictures an entity is drawn on, from 0."""
    regions = [entity.region] if entity.region is not None else [*(entity.gold_regions or ())]
    if regions:
        return regions[0].image
    if entity.relevance is None or entity.relevance.ndim == 2:
        return 0
    return int(entity.relevance.max(axis=(1, 2)).argmax())


def _draw(panel: "Axes", picture: np.ndarray, entity: Mention, place: int) -> None:
    height, width = picture.shape[:2]
    if entity.is_absent:
        grey = picture.mean(axis=2, keepdims=True)
        picture = (0.4 * grey + 0.6 * 255).repeat(3, axis=2).astype(np.uint8)
    panel.imshow(picture, extent=(0, 1, 1, 0), aspect=height / width)
    if (cells := entity.map_of(place)) is not None:
        heat = np.asarray(heat_image(cells).convert("RGBA"))
        panel.imshow(heat, extent=(0, 1, 1, 0), aspect=height / width, interpolation="nearest")
    if entity.region is not None:
        _box(panel, entity.region, "-")
    for region in entity.gold_regions or ():
        if region.image == place:
            _box(panel, region, "--")
    lines = [f"{entity.text}  {entity.type}" + ("" if entity.score is None else f" {entity.score:.0%}")]
    if entity.is_absent:
        lines.append(f"not in the picture ({entity.grounded:.0%})")
    panel.set_title("\n".join(lines), fontsize=9)


def _box(panel: "Axes", region: Region, style: str) -> None:
    from matplotlib.patches import Rectangle

    corner, size = (region.left, region.top), (region.right - region.left, region.bottom - region.top)
    for colour, thickness in (("white", 3.5), ("#0d2c94" if style == "-" else "#187737", 1.8)):
        panel.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=thickness, linestyle=style))
