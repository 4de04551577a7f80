"""One post made ready for the page: its text in pieces, its pictures small enough to carry along, its regions."""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from flair.data import Sentence
from PIL import Image

from flair_espvr.data.metadata import CAPTION, IMAGE_ID, RECORD, metadata_or_none, sentence_images
from flair_espvr.data.region import Region
from flair_espvr.errors import BadImageError
from flair_espvr.images.loading import ImageSource, describe_source, load_image
from flair_espvr.report.entities import Mention, Piece, read_entities, split_text, text_and_offsets
from flair_espvr.report.heat import heat_image

THUMBNAIL_SIDE = 640
"""Longest side of a picture on the page, in pixels: sharp in its column on a dense screen, some 50 kB as JPEG."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture inside the page: a `data:` address, and its width and height in pixels."""

    address: str
    width: int
    height: int


@dataclass(frozen=True)
class Box:
    """An entity's region as it is drawn; `rank` counts the boxes before it in the same corner, so none is hidden."""

    entity: Mention
    region: Region
    rank: int


@dataclass(frozen=True)
class Heat:
    """An entity's map of the picture: a `data:` address of a picture to be laid over it, a pixel for a cell."""

    entity: Mention
    address: str


@dataclass(frozen=True)
class Picture:
    """One of a post's pictures, and what is drawn over it.

    Attributes:
        name: what messages call it.
        thumbnail: it, or `None` where it cannot be shown.
        problem: why it cannot be shown, or `None`.
        boxes: one for each entity with a region on it.
        gold_boxes: the gold regions on it, each with its entity.
        heats: one for each entity with a map of it.
    """

    name: str
    thumbnail: Thumbnail | None
    problem: str | None
    boxes: list[Box]
    gold_boxes: list[tuple[Mention, Region]]
    heats: list[Heat]

    @property
    def shows(self) -> set[int | None]:
        """The numbers of the entities of which there is something drawn over it."""
        drawn = [box.entity for box in self.boxes] + [heat.entity for heat in self.heats]
        return {entity.number for entity in [*drawn, *(entity for entity, _ in self.gold_boxes)]}


@dataclass(frozen=True)
class Card:
    """Everything the page says about one post.

    Attributes:
        post_id: the `"id"` of the JSON object that the sentence was read from, or `None`.
        image_id: as on the sentence, or `None`.
        captions: those of the pictures, in their order; one where it is of the post.
        pieces: the text, cut at the entities' borders.
        entities: in text order, missed gold entities among them.
        pictures: those of the sentence, in their order.
    """

    post_id: str | None
    image_id: str | None
    captions: list[str]
    pieces: list[Piece]
    entities: list[Mention]
    pictures: list[Picture]

    @property
    def to_show(self) -> set[int | None]:
        """The numbers of the entities of which there is something to show in a picture."""
        shown = [picture.shows for picture in self.pictures if picture.thumbnail is not None]
        return set().union(*shown) - {None}

    def captions_of(self, place: int) -> list[str]:
        """Return what stands below a picture: its own caption, or below the last one all where they are not one each.

        Args:
            place: the picture's, from 0.
        """
        if len(self.captions) == len(self.pictures):
            return self.captions[place : place + 1]
        return self.captions if place + 1 >= len(self.pictures) else []


def make_card(sentence: Sentence, label_type: str, gold_label_type: str | None = None) -> Card:
    """Read a tagged post for showing; a picture that cannot be read becomes its reason, never an error."""
    text, _ = text_and_offsets(sentence)
    entities = read_entities(sentence, label_type, gold_label_type)
    caption = metadata_or_none(sentence, CAPTION) or []
    return Card(
        post_id=str(post_id) if (post_id := (metadata_or_none(sentence, RECORD) or {}).get("id")) is not None else None,
        image_id=metadata_or_none(sentence, IMAGE_ID),
        captions=[caption] if isinstance(caption, str) else list(caption),
        pieces=split_text(text, entities),
        entities=entities,
        pictures=[_picture(place, source, entities) for place, source in enumerate(sentence_images(sentence))],
    )


def _picture(place: int, source: ImageSource, entities: Sequence[Mention]) -> Picture:
    """Return the picture at a place, from 0, with what is said of it."""
    thumbnail, problem = None, None
    try:
        thumbnail = make_thumbnail(source)
    except BadImageError as error:
        problem = error.reason
    maps = ((entity, entity.map_of(place)) for entity in entities)
    return Picture(
        name=describe_source(source),
        thumbnail=thumbnail,
        problem=problem,
        boxes=_boxes(entity for entity in entities if entity.region is not None and entity.region.image == place),
        gold_boxes=[
            (entity, region) for entity in entities for region in entity.gold_regions or () if region.image == place
        ],
        heats=[Heat(entity, _png(heat_image(cells))) for entity, cells in maps if cells is not None],
    )


def make_thumbnail(source: ImageSource) -> Thumbnail:
    """Return the picture, at most `THUMBNAIL_SIDE` pixels long, as a JPEG `data:` address.

    Args:
        source: a path, the bytes of a picture file, or a `PIL.Image.Image`, which is not changed.

    Raises:
        BadImageError: the picture cannot be read.
    """
    picture = load_image(source, shrink_to=THUMBNAIL_SIDE)
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    jpeg = BytesIO()
    picture.save(jpeg, "JPEG", quality=80, optimize=True)
    return Thumbnail("data:image/jpeg;base64," + b64encode(jpeg.getvalue()).decode("ascii"), *picture.size)


def _png(image: Image.Image) -> str:
    """Return a picture as a PNG `data:` address."""
    png = BytesIO()
    image.save(png, "PNG", bits=4, optimize=True)
    return "data:image/png;base64," + b64encode(png.getvalue()).decode("ascii")


def _boxes(entities: Iterable[Mention]) -> list[Box]:
    corners: Counter[tuple[float, float]] = Counter()
    boxes = []
    for entity in entities:
        if entity.region is not None:
            corner = (entity.region.left, entity.region.top)
            boxes.append(Box(entity, entity.region, rank=corners[corner]))
            corners[corner] += 1
    return boxes
