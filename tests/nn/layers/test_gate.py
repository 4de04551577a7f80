"""The gate against its formula, number by number."""

import math

import pytest
import torch

from flair_espvr.nn.layers.gate import Gate, mix


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_follows_the_formula(size: int, bias: bool) -> None:
    gate = Gate(2, 4, size=size, bias=bias).double()
    first, second = torch.randn(5, 2).double(), torch.randn(5, 4).double()
    result = gate(first, second)
    assert result.shape == (5, size)
    for row in range(5):
        for place in range(size):
            total = float(gate.first.bias[place].detach()) if bias else 0.0
            total += sum(float(gate.first.weight[place, i].detach() * first[row, i]) for i in range(2))
            total += sum(float(gate.second.weight[place, i].detach() * second[row, i]) for i in range(4))
            assert float(result[row, place].detach()) == pytest.approx(1 / (1 + math.exp(-total)))


def test_mixes() -> None:
    first, second = torch.tensor([2.0, 2.0]), torch.tensor([0.0, 4.0])
    assert mix(torch.tensor([0.25, 1.0]), first, second).tolist() == [0.5, 2.0]
