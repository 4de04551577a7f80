"""Class probabilities of a Bayesian network, by Monte Carlo dropout, and how sure they are."""

import math

import torch
from torch import Tensor


class MonteCarloClassifier(torch.nn.Module):
    """A classifier of words whose probabilities are means over networks with different units dropped.

    Dropout that goes on after training samples from a posterior over networks (Gal and Ghahramani, 2016). All words of
    a sample lack the same units. In training there is one sample, drawn anew for each post; elsewhere the same ones
    serve always, and are kept with the weights, so that no prediction depends on chance.

    Args:
        input_size: Size D of the words.
        hidden_size: Units of the one hidden layer, which may be dropped.
        classes: L.
        dropout: Probability that a unit is.
        samples: Networks to average over.
    """

    masks: Tensor

    def __init__(self, input_size: int, *, hidden_size: int, classes: int, dropout: float, samples: int) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden = torch.nn.Linear(input_size, hidden_size)
        self.scores = torch.nn.Linear(hidden_size, classes)
        drawn = torch.rand(samples, hidden_size, generator=torch.Generator().manual_seed(0))
        self.register_buffer("masks", (drawn >= dropout) / (1 - dropout))

    def forward(self, words: Tensor) -> Tensor:
        """Classify the words.

        Args:
            words: (B, T, D).

        Returns:
            Logarithms of the mean probabilities, (B, T, L).
        """
        hidden = torch.tanh(self.hidden(words))
        if self.training:
            kept = torch.nn.functional.dropout(torch.ones_like(hidden[:, :1]), self.dropout)  # (B, 1, hidden)
            return self.scores(hidden * kept).log_softmax(dim=-1)
        sampled = self.scores(hidden.unsqueeze(1) * self.masks[:, None])  # (B, samples, T, L)
        return sampled.log_softmax(dim=-1).logsumexp(dim=1) - math.log(len(self.masks))


def entropy(log_probabilities: Tensor) -> Tensor:
    """How unsure probabilities are, in nats: (..., L) to (...), from 0 to log L."""
    return torch.special.entr(log_probabilities.exp()).sum(dim=-1)
