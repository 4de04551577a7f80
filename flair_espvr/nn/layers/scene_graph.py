"""The objects of a picture and how they stand to each other, as vectors that words can attend to."""

import torch
from torch import Tensor

RELATIONS = ("left of", "right of", "above", "below", "inside", "around")
"""What `spatial_relations` tells apart, in the order of its ids."""


def spatial_relations(boxes: Tensor) -> Tensor:
    """How each object stands to each other one: first of `RELATIONS` is 0.

    An object is inside another whose box holds its own, and around one whose box its own holds; of equal boxes each is
    inside the other. Else the larger distance between their middles decides, that across at equal ones.

    Args:
        boxes: (B, O, 4) left, top, right, bottom.

    Returns:
        (B, O, O) long, of the first object to the second.
    """
    first, second = boxes.unsqueeze(2), boxes.unsqueeze(1)  # (B, O, 1, 4), (B, 1, O, 4)
    across, down = ((first[..., k] + first[..., k + 2] - second[..., k] - second[..., k + 2]) for k in (0, 1))
    sideways, upright = (across > 0).long(), 2 + (down > 0).long()
    relation = torch.where(across.abs() >= down.abs(), sideways, upright)
    for number, (inner, outer) in ((5, (second, first)), (4, (first, second))):  # inside, written last, wins
        held = (inner[..., :2] >= outer[..., :2]).all(dim=-1) & (inner[..., 2:] <= outer[..., 2:]).all(dim=-1)
        relation = relation.masked_fill(held, number)
    return relation


class SceneGraph(torch.nn.Module):
    """Vectors of objects, and of triples of two objects and their spatial relation.

    An object is the embedding of its label. A triple is tanh(W_s s + r + W_o o), r the embedding of the relation.

    Args:
        labels: Number of label ids.
        hidden_size: D.
    """

    def __init__(self, labels: int, hidden_size: int) -> None:
        super().__init__()
        self.labels = torch.nn.Embedding(labels, hidden_size)
        self.relations = torch.nn.Embedding(len(RELATIONS), hidden_size)
        self.subject = torch.nn.Linear(hidden_size, hidden_size, bias=False)
        self.object = torch.nn.Linear(hidden_size, hidden_size)

    def forward(
        self, labels: Tensor, boxes: Tensor, mask: Tensor, images: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the nodes of each post's graph.

        Args:
            labels: (B, O) ids.
            boxes: (B, O, 4) left, top, right, bottom.
            mask: (B, O) bool, True where there is an object.
            images: (B, O) which picture it is in; None where all of a post are in one.

        Returns:
            (B, N, D) objects and then triples, N = O + O * O, and which of them exist, (B, N) bool: no object stands to
            itself, or to one in another picture.
        """
        objects = self.labels(labels)  # (B, O, D)
        subjects, others = self.subject(objects).unsqueeze(2), self.object(objects).unsqueeze(1)
        triples = torch.tanh(subjects + self.relations(spatial_relations(boxes)) + others)  # (B, O, O, D)
        apart = ~torch.eye(labels.shape[1], dtype=torch.bool, device=labels.device)
        pairs = mask.unsqueeze(2) & mask.unsqueeze(1) & apart
        if images is not None:
            pairs = pairs & (images.unsqueeze(2) == images.unsqueeze(1))
        return torch.cat([objects, triples.flatten(1, 2)], dim=1), torch.cat([mask, pairs.flatten(1)], dim=1)
