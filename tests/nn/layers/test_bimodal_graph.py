"""A layer of the graph of words and objects against its formulas, one node and one head at a time."""

import math

import torch
from torch import Tensor

from flair_espvr.nn.layers.bimodal_graph import BimodalGraphLayer, GraphNodes

SIZE, HEADS = 6, 2
MASK = torch.tensor([[True, True, True], [True, True, False]])
OBJECT_MASK = torch.tensor([[True, False, True, True], [False] * 4])


def attended(side: GraphNodes, nodes: list[Tensor]) -> list[Tensor]:
    part = SIZE // HEADS
    q, k, v = (
        [weight @ node + bias for node in nodes]
        for weight, bias in zip(
            side.attention.in_proj_weight.chunk(3), side.attention.in_proj_bias.chunk(3), strict=True
        )
    )
    rows = []
    for node, query in zip(nodes, q, strict=True):
        heads = []
        for head in (slice(0, part), slice(part, SIZE)):
            shares = torch.stack([query[head] @ key[head] / math.sqrt(part) for key in k]).softmax(dim=0)
            heads.append(sum(share * value[head] for share, value in zip(shares, v, strict=True)))
        rows.append(side.norms[0](node + side.attention.out_proj(torch.cat(heads))))
    return rows


def updated(side: GraphNodes, own: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    rows = []
    for node in own:
        let_in = torch.zeros(SIZE).double()
        for other in others:
            let_in = let_in + torch.sigmoid(side.gate.first(node) + side.gate.second(other)) * other
        middle = side.norms[1](node + let_in)
        first, _, _, second = side.feedforward
        rows.append(side.norms[2](middle + second(first(middle).clamp(min=0))))
    return rows


def test_both_kinds_of_nodes() -> None:
    layer = BimodalGraphLayer(SIZE, num_heads=HEADS, feedforward_size=5, dropout=0.5).double().eval()
    words, objects = torch.randn(2, 3, SIZE).double(), torch.randn(2, 4, SIZE).double()
    new_words, new_objects = layer(words, MASK, objects, OBJECT_MASK)
    for post in range(2):
        own = attended(layer.words, list(words[post][MASK[post]]))
        seen = attended(layer.objects, list(objects[post][OBJECT_MASK[post]]))
        for mine, others, side, result, mask in (
            (own, seen, layer.words, new_words, MASK),
            (seen, own, layer.objects, new_objects, OBJECT_MASK),
        ):
            for fast, slow in zip(result[post][mask[post]], updated(side, mine, others), strict=True):
                torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-6)
    assert new_objects.isfinite().all()


def test_words_without_objects_hear_words_alone() -> None:
    layer = BimodalGraphLayer(SIZE, num_heads=HEADS, feedforward_size=5, dropout=0.0).double().eval()
    words, mask = torch.randn(1, 3, SIZE).double(), torch.zeros(1, 4, dtype=torch.bool)
    first, second = (layer(words, MASK[:1], torch.randn(1, 4, SIZE).double(), mask)[0] for _ in range(2))
    torch.testing.assert_close(first, second)
