"""What a network reads of the images of a batch, and of the objects in them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageFeatures:
    """The images of B posts as vectors, from a frozen backbone.

    Attributes:
        regions: (B, R, Dv) region vectors, row-major over the grid; zero where there is no image.
        pooled: (B, Dv) one vector for the whole image; zero where there is none.
        present: (B,) bool, True where a post has an image that could be read.
        grid: (H, W) with R = H * W.
        count: How many posts have an image: `present` summed, without asking the device.
    """

    regions: Tensor
    pooled: Tensor
    present: Tensor
    grid: tuple[int, int]
    count: int

    @property
    def mask(self) -> Tensor:
        """Regions that exist, (B, R) bool; all those of an image."""
        return self.present[:, None].expand(self.regions.shape[:2])


@dataclass(frozen=True)
class ObjectFeatures:
    """The objects in the images of B posts, at most O each.

    Attributes:
        labels: (B, O) ids of their labels; 0 for a label that is not in the vocabulary, and where there is no object.
        boxes: (B, O, 4) left, top, right, bottom in fractions of the image; zero where there is no object.
        mask: (B, O) bool, True where there is an object.
        vectors: (B, O, Dv) vectors of the objects' crops, from a frozen backbone, zero where there is no object; None
            where the model reads none.
    """

    labels: Tensor
    boxes: Tensor
    mask: Tensor
    vectors: Tensor | None
