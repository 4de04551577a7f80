"""A graph of words and objects: every node hears its own kind by attention, and the other kind through gates."""

import torch
from torch import Tensor

from flair_espvr.nn.layers.gate import Gate


class GraphNodes(torch.nn.Module):
    """What a layer of the graph does with the nodes of one kind: attend, gather, transform; post-norm, each of them.

    Args:
        hidden_size: D.
        num_heads: Attention heads; must divide `hidden_size`.
        feedforward_size: Width of the feed-forward network.
        dropout: Probability of dropout on every branch before its residual.
    """

    def __init__(self, hidden_size: int, *, num_heads: int, feedforward_size: int, dropout: float) -> None:
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(hidden_size, num_heads, dropout=dropout, batch_first=True)
        self.gate = Gate(hidden_size, hidden_size, size=hidden_size)
        self.feedforward = torch.nn.Sequential(
            torch.nn.Linear(hidden_size, feedforward_size),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(feedforward_size, hidden_size),
        )
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(hidden_size) for _ in range(3))
        self.dropout = torch.nn.Dropout(dropout)

    def attend(self, nodes: Tensor, mask: Tensor) -> Tensor:
        """C = norm(H + MHSA(H)): nodes (B, N, D) hear those of their kind that exist, mask (B, N)."""
        ignored = ~mask & mask.any(dim=1, keepdim=True)  # where there are none: a softmax over nothing would be NaN
        heard, _ = self.attention(nodes, nodes, nodes, key_padding_mask=ignored, need_weights=False)
        return self.norms[0](nodes + self.dropout(heard))

    def gather(self, nodes: Tensor, others: Tensor, other_mask: Tensor) -> Tensor:
        """R_i = norm(C_i + sum_j sigmoid(W C_i + U O_j + b) * O_j), over the others (B, M, D) that exist, (B, M)."""
        gates = self.gate(nodes.unsqueeze(2), others.unsqueeze(1))  # (B, N, M, D)
        let_in = (gates * others.unsqueeze(1)).masked_fill(~other_mask[:, None, :, None], 0.0)
        return self.norms[1](nodes + self.dropout(let_in.sum(dim=2)))

    def transform(self, nodes: Tensor) -> Tensor:
        """H = norm(R + FFN(R)), (B, N, D)."""
        return self.norms[2](nodes + self.dropout(self.feedforward(nodes)))


class BimodalGraphLayer(torch.nn.Module):
    """One step of the graph, in which all words and all objects of a post are neighbours.

    Arguments are those of `GraphNodes`.
    """

    def __init__(self, hidden_size: int, *, num_heads: int, feedforward_size: int, dropout: float) -> None:
        super().__init__()
        self.words, self.objects = (
            GraphNodes(hidden_size, num_heads=num_heads, feedforward_size=feedforward_size, dropout=dropout)
            for _ in range(2)
        )

    def forward(self, words: Tensor, mask: Tensor, objects: Tensor, object_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Update both kinds of nodes from what both were before.

        Args:
            words: (B, T, D).
            mask: (B, T) bool.
            objects: (B, O, D), O at least 1.
            object_mask: (B, O) bool, all False where there is nothing to see.

        Returns:
            Words (B, T, D) and objects (B, O, D).
        """
        words, objects = self.words.attend(words, mask), self.objects.attend(objects, object_mask)
        words, objects = (
            self.words.gather(words, objects, object_mask),
            self.objects.gather(objects, words, mask),
        )
        return self.words.transform(words), self.objects.transform(objects)
