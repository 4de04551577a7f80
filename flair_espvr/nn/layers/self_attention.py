"""Self-attention over the words of a sentence (paper 3.3, the textual hidden representation T)."""

import torch
from torch import Tensor

from flair_espvr.nn.layers.cross_modal import FEEDFORWARD_EXPANSION

_FUSED_WORDS = 64
"""Words up to which torch's fused layer is the faster way to predict; beyond, it is slower, and takes memory for every
pair of words."""


class SelfAttentionLayer(torch.nn.TransformerEncoderLayer):
    """torch's layer, whose memory grows with the words and not with their square; the arguments are torch's."""

    def forward(self, hidden: Tensor, ignored: Tensor) -> Tensor:  # type: ignore[override]
        """One step of a post-norm encoder.

        Args:
            hidden: (B, T, D).
            ignored: Words that none attends to, (B, T) bool.

        Returns:
            (B, T, D).
        """
        if hidden.shape[1] <= _FUSED_WORDS:
            fused: Tensor = super().forward(hidden, src_key_padding_mask=ignored)
            return fused
        # Keys under another name: torch fuses where they are the very same tensor as the queries.
        keys = hidden.view_as(hidden)
        attended, _ = self.self_attn(hidden, keys, keys, key_padding_mask=ignored, need_weights=False)
        hidden = self.norm1(hidden + self.dropout1(attended))
        expanded = self.dropout(self.activation(self.linear1(hidden)))
        return self.norm2(hidden + self.dropout2(self.linear2(expanded)))


class SelfAttentionStack(torch.nn.Module):
    """A linear projection to the hidden size and Transformer encoder layers over it.

    The layers are post-norm, as the paper's Transformer is, with the feed-forward network of `CrossModalLayer`.

    Args:
        input_size: Size of the word vectors C.
        hidden_size: Size D of the result.
        num_heads: Attention heads of each layer; must divide `hidden_size`.
        num_layers: How many layers; with 0 only the projection is left.
        dropout: Probability of dropout in the layers.
    """

    def __init__(self, input_size: int, hidden_size: int, *, num_heads: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.projection = torch.nn.Linear(input_size, hidden_size)
        # Not torch.nn.TransformerEncoder: it starts all layers from the same weights, and may drop the padded columns.
        self.layers = torch.nn.ModuleList(
            SelfAttentionLayer(
                hidden_size,
                num_heads,
                dim_feedforward=FEEDFORWARD_EXPANSION * hidden_size,
                dropout=dropout,
                activation="gelu",
                batch_first=True,
            )
            for _ in range(num_layers)
        )

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Encode the words.

        Args:
            words: Word vectors C, (B, T, input_size).
            mask: (B, T) bool.

        Returns:
            T, (B, T, D); finite but without meaning where masked.
        """
        hidden = self.projection(words)
        # A row of padding alone attends to itself: a softmax over nothing would be NaN.
        ignored = ~mask & mask.any(dim=1, keepdim=True)
        for layer in self.layers:
            hidden = layer(hidden, ignored)
        return hidden
