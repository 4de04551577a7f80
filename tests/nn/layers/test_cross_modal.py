"""The cross-modal layer against Eqs. 3-6 written out head by head, and rows that have nothing to attend to."""

import math

import pytest
import torch

from flair_espvr.nn import CrossModalLayer

SIZE, HEADS = 12, 3


def layer_norm(values, norm):
    centred = values - values.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def layer_slowly(layer, query, keys):
    """Eqs. 3-6 for one row: query (Q, D), keys (K, D), K > 0."""
    weight, bias = layer.attention.in_proj_weight, layer.attention.in_proj_bias
    q, k, v = (
        source @ weight[i * SIZE : (i + 1) * SIZE].T + bias[i * SIZE : (i + 1) * SIZE]
        for i, source in enumerate((query, keys, keys))
    )
    width = SIZE // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        exponentials = (q[:, part] @ k[:, part].T / math.sqrt(width)).exp()
        heads.append(exponentials / exponentials.sum(dim=1, keepdim=True) @ v[:, part])
    attended = torch.cat(heads, dim=1) @ layer.attention.out_proj.weight.T + layer.attention.out_proj.bias
    hidden = layer_norm(query + attended, layer.attention_norm)
    first, _, _, second = layer.feedforward
    wide = hidden @ first.weight.T + first.bias
    activated = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    return layer_norm(hidden + activated @ second.weight.T + second.bias, layer.feedforward_norm)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = CrossModalLayer(SIZE, HEADS, dropout=0.0)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # the biases start at zero, which would hide them
    return layer


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_equations_whatever_is_padded(layer, training):
    layer.train(training)
    lengths = [5, 1, 3]
    query, keys = torch.randn(3, 4, SIZE), torch.randn(3, 5, SIZE)
    mask = torch.arange(5) < torch.tensor(lengths).unsqueeze(1)
    keys[~mask] = 1e3
    with torch.inference_mode(not training):
        result = layer(query, keys, mask)
        for row, length in enumerate(lengths):
            expected = layer_slowly(layer, query[row], keys[row, :length])
            torch.testing.assert_close(result[row], expected, atol=1e-5, rtol=1e-5)


def test_masked_keys_may_stand_anywhere(layer):
    query, keys = torch.randn(1, 4, SIZE), torch.randn(1, 5, SIZE)
    mask = torch.tensor([[False, True, False, True, True]])
    expected = layer_slowly(layer, query[0], keys[0][mask[0]])
    torch.testing.assert_close(layer(query, keys, mask)[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 5])
def test_a_row_without_keys_attends_to_nothing(layer, count):
    query = torch.randn(2, 4, SIZE, requires_grad=True)
    keys = torch.randn(2, count, SIZE, requires_grad=True)
    mask = torch.zeros(2, count, dtype=torch.bool)
    mask[1] = True  # nothing to set where count is 0
    result = layer(query, keys, mask)
    hidden = layer.attention_norm(query[0])
    torch.testing.assert_close(result[0], layer.feedforward_norm(hidden + layer.feedforward(hidden)))

    result.square().sum().backward()
    for gradient in (query.grad, keys.grad, *(parameter.grad for parameter in layer.parameters())):
        assert gradient.isfinite().all()
    assert (keys.grad[0] == 0).all()


def test_gradients_of_a_batch_without_any_key(layer):
    keys = torch.randn(2, 5, SIZE, requires_grad=True)
    layer(torch.randn(2, 4, SIZE), keys, torch.zeros(2, 5, dtype=torch.bool)).sum().backward()
    assert (keys.grad == 0).all()
    for parameter in layer.attention.parameters():
        assert (parameter.grad == 0).all()


@pytest.mark.parametrize("count", [0, 5])
def test_bfloat16_autocast(layer, count):
    query, keys = torch.randn(2, 4, SIZE), torch.randn(2, count, SIZE)
    mask = torch.zeros(2, count, dtype=torch.bool)
    mask[1] = True
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(query, keys, mask)
    torch.testing.assert_close(half.float(), layer(query, keys, mask), atol=0.1, rtol=0.1)
