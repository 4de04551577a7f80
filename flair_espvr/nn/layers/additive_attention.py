"""Additive attention: which keys a query, or nobody in particular, finds important."""

import torch
from torch import Tensor


class AdditiveAttention(torch.nn.Module):
    """Attention with the scores w . tanh(W k + U q + b), or w . tanh(W k + b) without a query (Bahdanau et al., 2015).

    Args:
        key_size: Size Dk of the keys.
        query_size: Size Dq of the queries; None for attention that depends on the keys alone.
        hidden_size: Size of what the tanh is taken of.
    """

    def __init__(self, key_size: int, query_size: int | None, *, hidden_size: int) -> None:
        super().__init__()
        self.key = torch.nn.Linear(key_size, hidden_size)
        self.query = None if query_size is None else torch.nn.Linear(query_size, hidden_size, bias=False)
        self.score = torch.nn.Linear(hidden_size, 1, bias=False)

    def forward(self, keys: Tensor, key_mask: Tensor, queries: Tensor | None = None) -> Tensor:
        """Average the keys by their importance.

        Args:
            keys: (B, K, Dk).
            key_mask: Keys that exist, (B, K) bool.
            queries: (B, Q, Dq); None without a query, which counts as one.

        Returns:
            (B, Q, Dk); zero in a row without keys.
        """
        hidden = self.key(keys).unsqueeze(1)  # (B, 1, K, hidden)
        if self.query is not None:
            if queries is None:
                raise ValueError("this attention has a query, and was given none")
            hidden = hidden + self.query(queries).unsqueeze(2)  # (B, Q, K, hidden)
        scores = self.score(hidden.tanh()).squeeze(-1)  # (B, Q, K)
        present = key_mask.unsqueeze(1)
        weights = scores.masked_fill(~present, torch.finfo(scores.dtype).min).softmax(dim=-1)
        return weights.masked_fill(~present, 0.0) @ keys
