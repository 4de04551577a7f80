"""A gate between two inputs, and what is done with it."""

import torch
from torch import Tensor


class Gate(torch.nn.Module):
    """g = sigmoid(W a + U b + bias): how much to let through, in 0..1.

    Multiply a vector by it, or mix two vectors with `mix`.

    Args:
        first_size: Size of a.
        second_size: Size of b.
        size: Numbers in g: as many as the vectors that it gates have, or 1 for the whole vector alike.
        bias: Add a bias.
    """

    def __init__(self, first_size: int, second_size: int, *, size: int, bias: bool = True) -> None:
        super().__init__()
        self.first = torch.nn.Linear(first_size, size, bias=bias)
        self.second = torch.nn.Linear(second_size, size, bias=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute the gate.

        Args:
            first: a, (..., first_size).
            second: b, (..., second_size); leading dimensions broadcast.

        Returns:
            g, (..., size).
        """
        return torch.sigmoid(self.first(first) + self.second(second))


def mix(gate: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the convex mixture g a + (1 - g) b."""
    return gate * first + (1 - gate) * second
