"""What a grounding head learns and answers from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flair_espvr.nn.layers.rectangles import covered_shares
from flair_espvr.nn.layers.spans import Spans


@dataclass(frozen=True)
class Mentions:
    """Entities of B posts as a network has them, M each.

    Attributes:
        features: (B, M, De) one vector for an entity: the mean of its words' vectors.
        types: (B, M, L) how probable each tag is at its first word.
        own_map: (B, M, K * R) logits of the network's own attention over the regions of all images; None where it has
            none.
    """

    features: Tensor
    types: Tensor
    own_map: Tensor | None = None


@dataclass(frozen=True)
class GoldRegions:
    """What is known of where the images of B posts show their entities.

    Attributes:
        spans: The entities of which it is known, M a post.
        boxes: (B, M, N, 4) left, top, right and bottom as fractions of the image.
        mask: (B, M, N) bool, boxes that exist; none of an entity that no image shows.
        images: (B, M, N) long, which of a post's images a box is on, from 0; None where all are on the first.
    """

    spans: Spans
    boxes: Tensor
    mask: Tensor
    images: Tensor | None = None

    def on(self, slots: Tensor) -> Tensor:
        """Return which boxes are on which of the images that exist, (B, M, K, N) bool, from these, (B, K) bool."""
        image = torch.arange(slots.shape[1], device=slots.device)[:, None]  # (K, 1)
        named = image == 0 if self.images is None else image == self.images.unsqueeze(2)
        return self.mask.unsqueeze(2) & named & slots[:, None, :, None]

    def covered(self, slots: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return how much of each cell the boxes of an entity cover on each image that exists, (B, M, K, R) in 0..1."""
        on = self.on(slots)  # (B, M, K, N)
        boxes = self.boxes.unsqueeze(2).expand(*on.shape, 4)
        return covered_shares(boxes.flatten(0, 2), on.flatten(0, 2), grid).view(*on.shape[:3], -1)

    def known(self, slots: Tensor) -> Tensor:
        """Return the entities of which it is known where the images that exist show them, (B, M) bool.

        Not so of one that is shown by images alone which do not exist.
        """
        lost = self.mask.any(dim=2) & ~self.on(slots).flatten(2).any(dim=2)
        return self.spans.mask & slots.any(dim=1, keepdim=True) & ~lost
