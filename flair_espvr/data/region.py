"""The place in a picture that supports an entity."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A rectangle of a picture, in fractions of its width and height, so it fits the picture at any size.

    Attributes:
        left, top, right, bottom: edges in 0..1 from the picture's upper left corner; `left < right`, `top < bottom`.
        score: share (0..1) of the entity's attention over the picture that falls inside the rectangle.
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The rectangle as `(left, top, right, bottom)` pixels of a picture of `width` x `height`."""
        return (
            round(self.left * width),
            round(self.top * height),
            round(self.right * width),
            round(self.bottom * height),
        )
