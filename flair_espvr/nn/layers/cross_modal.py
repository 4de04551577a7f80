"""The cross-modality Transformer layer (paper 3.4, Eqs. 3-6)."""

import torch
from torch import Tensor

FEEDFORWARD_EXPANSION = 4


class CrossModalLayer(torch.nn.Module):
    """Multi-head attention from one modality to the other and a feed-forward network, each with residual and norm.

    Normalisation follows the residual (post-norm), as in the paper. The feed-forward network has the customary four
    times the width and GELU.

    Args:
        hidden_size: Size D of queries, keys and result.
        num_heads: Attention heads; must divide `hidden_size`.
        dropout: Probability of dropout on attention weights and on both branches before their residuals.
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(hidden_size, num_heads, dropout=dropout, batch_first=True)
        self.attention_norm = torch.nn.LayerNorm(hidden_size)
        self.feedforward = torch.nn.Sequential(
            torch.nn.Linear(hidden_size, FEEDFORWARD_EXPANSION * hidden_size),
            torch.nn.GELU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(FEEDFORWARD_EXPANSION * hidden_size, hidden_size),
        )
        self.feedforward_norm = torch.nn.LayerNorm(hidden_size)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, query: Tensor, key_value: Tensor, key_mask: Tensor) -> Tensor:
        """Let each query attend to the keys of its row.

        Args:
            query: (B, Q, D).
            key_value: (B, K, D); K may be 0.
            key_mask: Keys that exist, (B, K) bool. In a row with none, attention gives exactly zero.

        Returns:
            (B, Q, D).
        """
        query = self.attention_norm(query + self.dropout(self._attend(query, key_value, key_mask)))
        return self.feedforward_norm(query + self.dropout(self.feedforward(query)))

    def _attend(self, query: Tensor, key_value: Tensor, key_mask: Tensor) -> Tensor:
        # A softmax over nothing is NaN. One spare key of zeros is there for rows that have no other, and for them only;
        # what they read from it is then dropped.
        has_key = key_mask.any(dim=1, keepdim=True)  # (B, 1)
        keys = torch.nn.functional.pad(key_value, (0, 0, 0, 1))  # (B, K + 1, D)
        hidden = ~torch.cat([key_mask, ~has_key], dim=1)
        attended, _ = self.attention(query, keys, keys, key_padding_mask=hidden, need_weights=False)
        return attended.masked_fill(~has_key.unsqueeze(-1), 0.0)
