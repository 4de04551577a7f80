"""What a network reads of the images of a batch, and of the objects in them."""

from dataclasses import dataclass

from torch import Tensor

from flair_espvr.nn.layers.several_images import region_mask


@dataclass(frozen=True)
class ImageFeatures:
    """The images of B posts as vectors, from a frozen backbone.

    A post has one image, or several: K is the largest number in the batch, and K * R that of its regions, image by
    image. What reads them under their `mask` needs to know nothing of K.

    Attributes:
        regions: (B, K * R, Dv) region vectors, row-major over the grid; zero where there is no image.
        pooled: (B, Dv) one vector for the whole image, the mean over those of several; zero where there is none.
        present: (B,) bool, True where a post has an image that could be read.
        grid: (H, W) with R = H * W.
        count: How many posts have an image: `present` summed, without asking the device.
        several: (B, K) bool, which of a post's images could be read; None where K is 1.
    """

    regions: Tensor
    pooled: Tensor
    present: Tensor
    grid: tuple[int, int]
    count: int
    several: Tensor | None = None

    @property
    def slots(self) -> Tensor:
        """Images that exist, (B, K) bool."""
        return self.present[:, None] if self.several is None else self.several

    @property
    def mask(self) -> Tensor:
        """Regions that exist, (B, K * R) bool; all those of an image."""
        if self.several is None:
            return self.present[:, None].expand(self.regions.shape[:2])
        return region_mask(self.several, self.regions.shape[1])


@dataclass(frozen=True)
class ObjectFeatures:
    """The objects in the images of B posts, at most O each.

    Boxes are fractions of the image that an object is in.

    Attributes:
        labels: (B, O) ids of their labels; 0 for a label that is not in the vocabulary, and where there is no object.
        boxes: (B, O, 4) left, top, right, bottom in fractions of the image; zero where there is no object.
        mask: (B, O) bool, True where there is an object.
        vectors: (B, O, Dv) vectors of the objects' crops, from a frozen backbone, zero where there is no object; None
            where the model reads none.
        images: (B, O) long, which of a post's images an object is in, from 0; None where all are in the first.
    """

    labels: Tensor
    boxes: Tensor
    mask: Tensor
    vectors: Tensor | None
    images: Tensor | None = None
