"""Monte Carlo dropout against its samples one by one, and entropies against SciPy's."""

import pytest
import torch
from scipy.stats import entropy as scipy_entropy

from flair_espvr.nn.layers.monte_carlo import MonteCarloClassifier, entropy


def classifier(dropout: float = 0.4) -> MonteCarloClassifier:
    return MonteCarloClassifier(5, hidden_size=6, classes=3, dropout=dropout, samples=4)


def test_probabilities_are_the_mean_over_the_kept_samples() -> None:
    model, words = classifier().eval(), torch.randn(2, 7, 5)
    for post in range(2):
        for word in range(7):
            probabilities = []
            for mask in model.masks:
                hidden = torch.tanh(model.hidden.weight @ words[post, word] + model.hidden.bias) * mask
                scores = (model.scores.weight @ hidden + model.scores.bias).exp()
                probabilities.append(scores / scores.sum())
            mean = sum(probabilities) / 4
            torch.testing.assert_close(model(words)[post, word].exp(), mean)


def test_samples_differ_from_each_other_and_never_from_themselves() -> None:
    first, second = classifier(), classifier()
    assert torch.equal(first.masks, second.masks)
    assert len({tuple(mask.tolist()) for mask in first.masks}) > 1
    assert first.masks.unique().tolist() == [0.0, pytest.approx(1 / 0.6)]
    assert "masks" in first.state_dict()


def test_in_training_all_words_of_a_post_lack_the_same_units() -> None:
    model = classifier(dropout=0.5).train()
    drawn = model(torch.randn(1, 1, 5).expand(4, 6, 5))
    torch.testing.assert_close(drawn, drawn[:, :1].expand(4, 6, 3))
    assert not torch.allclose(drawn[0], drawn[1])


def test_entropy_is_scipys() -> None:
    probabilities = torch.rand(3, 4, 5, dtype=torch.double).softmax(dim=-1)
    probabilities[0, 0] = torch.tensor([1.0, 0, 0, 0, 0])
    expected = torch.from_numpy(scipy_entropy(probabilities.numpy(), axis=-1))
    torch.testing.assert_close(entropy(probabilities.log()), expected)
