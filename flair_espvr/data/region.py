"""The place in a picture that supports an entity."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom edge in fractions of a picture's width and height, 0..1."""


@dataclass(frozen=True, repr=False)
class Region:
    """A rectangle of a picture, in fractions of its width and height, so it fits the picture at any size.

    Attributes:
        left: edge in 0..1 from the picture's upper left corner, as the others are.
        top: upper edge.
        right: above `left`.
        bottom: above `top`.
        score: how probable (0..1) it is that the region is right: that its IoU with a place that shows the entity is
            above .5; 1 for a gold region.
        image: which of the post's pictures it is on, from 0.
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0
    image: int = 0

    def __repr__(self) -> str:
        """Return the fields, without the picture where it is the first."""
        return f"Region({', '.join(f'{name}={value!r}' for name, value in self.to_json().items())})"

    def to_json(self) -> dict[str, float | int]:
        """Return the fields as JSON values, without the picture where it is the first."""
        plain = asdict(self)
        return plain if self.image else {name: value for name, value in plain.items() if name != "image"}

    @property
    def middle(self) -> tuple[float, float]:
        """The point `(x, y)` in its middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def area(self) -> float:
        """Its share of the picture, 0..1."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def times_even(self) -> float | None:
        """Where the score is a share of attention, how many times that of an even look it is; None without an area."""
        return self.score / self.area if self.area > 0 else None

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies inside or on an edge."""
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def iou(self, other: "Region") -> float:
        """Return the area of the intersection with another region over that of the union, 0..1; 0 on another picture.

        >>> Region(0.0, 0.0, 0.5, 1.0).iou(Region(0.0, 0.0, 1.0, 1.0))
        0.5
        """
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        if width <= 0 or height <= 0 or self.image != other.image:
            return 0.0
        return width * height / (self.area + other.area - width * height)

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the rectangle as `(left, top, right, bottom)` pixels of a picture of `width` x `height`.

        >>> Region(0.1, 0.25, 0.6, 1.0).to_pixels(200, 100)
        (20, 25, 120, 100)
        """
        return (
            round(self.left * width),
            round(self.top * height),
            round(self.right * width),
            round(self.bottom * height),
        )


def region_from_box(plain: Any) -> Region:
    """Return a gold region of a box or, on another picture than the first, of `{"image": index, "box": box}`.

    Raises:
        ValueError: `plain` is neither; the message shows it.
    """
    if not isinstance(plain, Mapping):
        return Region(*checked_box(plain))
    match plain:
        case {"image": int(image), "box": box} if is_image_index(image):
            return Region(*checked_box(box), image=image)
        case _:
            raise ValueError(
                f'a box on another picture should be {{"image": 1, "box": [...]}}, counted from 0, not {plain!r}'
            )


def region_to_box(region: Region) -> Any:
    """Return a gold region as `region_from_box` reads it."""
    box = [region.left, region.top, region.right, region.bottom]
    return {"image": region.image, "box": box} if region.image else box


def is_image_index(value: Any) -> bool:
    """Whether a JSON value says which of a post's pictures is meant: a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def checked_box(box: Any) -> Box:
    """Four numbers that stand for a rectangle with an area, inside the picture, as plain floats.

    Raises:
        ValueError: `box` is something else; the message shows it.
    """
    match box:
        case [int() | float(), int() | float(), int() | float(), int() | float()] if (
            0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1  # NaN is not
        ):
            left, top, right, bottom = map(float, box)
            return left, top, right, bottom
        case _:
            raise ValueError(
                "a box should be [left, top, right, bottom] in fractions of the picture, 0..1, left < right and "
                f"top < bottom, not {box!r}"
            )
