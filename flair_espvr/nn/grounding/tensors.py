"""What a grounding head learns and answers from."""

from dataclasses import dataclass

from torch import Tensor

from flair_espvr.nn.layers.spans import Spans


@dataclass(frozen=True)
class Mentions:
    """Entities of B posts as a network has them, M each.

    Attributes:
        features: (B, M, De) one vector for an entity: the mean of its words' vectors.
        types: (B, M, L) how probable each tag is at its first word.
        own_map: (B, M, R) logits of the network's own attention over the regions; None where it has none.
    """

    features: Tensor
    types: Tensor
    own_map: Tensor | None = None


@dataclass(frozen=True)
class GoldRegions:
    """What is known of where the images of B posts show their entities.

    Attributes:
        spans: The entities of which it is known, M a post.
        boxes: (B, M, K, 4) left, top, right and bottom as fractions of the image.
        mask: (B, M, K) bool, boxes that exist; none of an entity that the image does not show.
    """

    spans: Spans
    boxes: Tensor
    mask: Tensor
