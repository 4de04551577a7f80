"""Additive attention against its formula, and against torch's own softmax where keys are hidden."""

import pytest
import torch

from flair_espvr.nn.layers.additive_attention import AdditiveAttention


@pytest.mark.parametrize("query_size", [None, 5])
def test_follows_the_formula_one_query_and_one_key_at_a_time(query_size: int | None) -> None:
    attention = AdditiveAttention(4, query_size, hidden_size=3).double()
    keys = torch.randn(2, 6, 4).double()
    queries = None if query_size is None else torch.randn(2, 3, query_size).double()
    mask = torch.tensor([[True] * 6, [True, False, True, True, False, False]])
    result = attention(keys, mask, queries)
    assert result.shape == (2, 1 if queries is None else 3, 4)
    for row in range(2):
        for place in range(result.shape[1]):
            present = mask[row].nonzero().flatten().tolist()
            scores = []
            for key in present:
                hidden = attention.key.weight @ keys[row, key] + attention.key.bias
                if queries is not None:
                    assert attention.query is not None
                    hidden = hidden + attention.query.weight @ queries[row, place]
                scores.append(attention.score.weight[0] @ hidden.tanh())
            shares = torch.stack(scores).softmax(dim=0)
            expected = sum(share * keys[row, key] for share, key in zip(shares, present, strict=True))
            torch.testing.assert_close(result[row, place], expected)


def test_nothing_to_attend_to_is_exactly_zero() -> None:
    attention = AdditiveAttention(4, None, hidden_size=3)
    result = attention(torch.randn(2, 3, 4), torch.tensor([[True] * 3, [False] * 3]))
    assert torch.equal(result[1], torch.zeros(1, 4))
    assert not attention(torch.randn(1, 0, 4), torch.ones(1, 0, dtype=torch.bool)).any()


def test_a_query_is_asked_for() -> None:
    with pytest.raises(ValueError, match="given none"):
        AdditiveAttention(4, 2, hidden_size=3)(torch.randn(1, 2, 4), torch.ones(1, 2, dtype=torch.bool))
