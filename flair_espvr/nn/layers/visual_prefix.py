"""Pictures as a prefix: keys and values that the attention layers of an encoder read before those of the words."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AttentionShape:
    """How the self-attention of an encoder is cut.

    Attributes:
        layers: N, how many layers there are.
        heads: Heads of each.
        head_size: Size of a head's keys and values.
    """

    layers: int
    heads: int
    head_size: int


@dataclass(frozen=True)
class EncoderPrefix:
    """Keys and values for each layer of an encoder, at P positions before the words of B posts.

    Attributes:
        states: (N, 2, B, heads, P, head_size), a layer's keys and then its values.
        mask: Positions that exist, (B, P) bool.
    """

    states: Tensor
    mask: Tensor


class VisualPrefix(torch.nn.Module):
    """Vectors of a picture as a prefix, of which each layer of the encoder has a mixture of its own.

    A network of two layers makes some views of each vector, each view a key and a value. For each layer a gate reads
    all views, averaged over the picture, and says how they are mixed: softmax(leaky_relu(W_l mean + b_l)).

    Args:
        input_size: Size Dv of the vectors.
        hidden_size: Size between the two layers.
        views: Views to mix.
        attention: The encoder's.
    """

    def __init__(self, input_size: int, *, hidden_size: int, views: int, attention: AttentionShape) -> None:
        super().__init__()
        self.attention = attention
        self.views = views
        size = views * 2 * attention.heads * attention.head_size
        self.projection = torch.nn.Sequential(
            torch.nn.Linear(input_size, hidden_size), torch.nn.Tanh(), torch.nn.Linear(hidden_size, size)
        )
        self.gates = torch.nn.Linear(size, attention.layers * views)

    def forward(self, vectors: Tensor) -> Tensor:
        """Make the prefix of each picture.

        Args:
            vectors: (B, P, Dv), P positions of each of B pictures.

        Returns:
            (N, 2, B, heads, P, head_size), as in `EncoderPrefix`.
        """
        shape = self.attention
        views = self.projection(vectors)  # (B, P, views * 2 * heads * head_size)
        scores = torch.nn.functional.leaky_relu(self.gates(views.mean(dim=1)))
        weights = scores.unflatten(-1, (shape.layers, self.views)).softmax(dim=-1)  # (B, N, views)
        parts = views.unflatten(-1, (self.views, 2, shape.heads, shape.head_size))
        return torch.einsum("bnv,bpvkhd->nkbhpd", weights, parts)
