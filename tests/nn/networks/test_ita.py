"""ITA against a plain computation: all taggings of each post, one by one."""

import itertools

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.networks.ita import ITAConfig, ITANetwork

LABELS = ["O", "B-PER", "I-PER"]
POSTS, WORDS, SIZE = 3, 4, 5
LENGTHS = (WORDS, 2, 1)
TAGS = torch.tensor([[1, 2, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]])
TAU = 4.0

Views = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def network() -> ITANetwork:
    config = ITAConfig(word_dropout=0.0, alignment_temperature=TAU)
    return ITANetwork(config, word_size=SIZE, region_size=None, labels=LABELS).double()


@pytest.fixture
def views() -> Views:
    """Words with contexts, the same words alone, and their mask."""
    words, text = (torch.randn(POSTS, WORDS, SIZE, dtype=torch.double, requires_grad=True) for _ in range(2))
    return words, text, torch.arange(WORDS) < torch.tensor(LENGTHS)[:, None]


def legal(tags: tuple[int, ...]) -> bool:
    return all(tag != 2 or before in (1, 2) for before, tag in zip((0, *tags), tags, strict=False))


def score(network: ITANetwork, emissions: Tensor, tags: tuple[int, ...]) -> Tensor:
    crf = network.tag_crf.crf
    total = crf.start_transitions[tags[0]] + crf.end_transitions[tags[-1]]
    total = total + sum(emissions[place, tag] for place, tag in enumerate(tags))
    return total + sum(crf.transitions[one, other] for one, other in itertools.pairwise(tags))


def one_view(network: ITANetwork, words: Tensor, gold: tuple[int, ...]) -> tuple[Tensor, list[list[Tensor]]]:
    """The negative log-likelihood of a post's tags, and the probability of each label of each word."""
    emissions = words @ network.tag_emissions.weight.T + network.tag_emissions.bias
    taggings = [tags for tags in itertools.product(range(3), repeat=len(words)) if legal(tags)]
    weights = {tags: score(network, emissions, tags).exp() for tags in taggings}
    total = sum(weights.values())
    marginals = [
        [sum((w for tags, w in weights.items() if tags[place] == label), torch.zeros(())) / total for label in range(3)]
        for place in range(len(words))
    ]
    return -(weights[gold] / total).log(), marginals


def slow(network: ITANetwork, views: Views) -> dict[str, Tensor]:
    terms: dict[str, list[Tensor]] = {"tags": [], "text_tags": [], "alignment": []}
    for post, length in enumerate(LENGTHS):
        gold = tuple(TAGS[post, :length].tolist())
        loss, teacher = one_view(network, views[0][post, :length], gold)
        text_loss, student = one_view(network, views[1][post, :length], gold)
        terms["tags"].append(loss)
        terms["text_tags"].append(text_loss)
        divergence = torch.zeros(())
        for known, learned in zip(teacher, student, strict=True):
            # A label that cannot be has no share in the sum.
            q, p = ([row ** (1 / TAU) for row in rows if row.detach() > 0] for rows in (known, learned))
            q = [row.detach() for row in q]
            for one, other in zip(q, p, strict=True):
                divergence = divergence + one / sum(q) * ((one / sum(q)).log() - (other / sum(p)).log())
        terms["alignment"].append(TAU**2 * divergence)
    return {name: torch.stack(rows) for name, rows in terms.items()}


def gradients(loss: Tensor, network: ITANetwork, views: Views) -> list[Tensor]:
    given = [*views[:2], *network.parameters()]
    found = torch.autograd.grad(loss, given, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(one) if grad is None else grad for one, grad in zip(given, found, strict=True)]


def test_losses_and_gradients(network: ITANetwork, views: Views) -> None:
    words, text, mask = views
    losses = network.losses(network(words, mask, None, text_words=text), TAGS)
    expected = slow(network, views)
    assert losses.keys() == expected.keys()
    for name, rows in expected.items():
        torch.testing.assert_close(losses[name].double(), rows.double(), rtol=1e-4, atol=1e-5)
    total = network.total_loss(losses, POSTS)
    by_hand = (0.5 * expected["tags"] + expected["text_tags"] + 0.5 * expected["alignment"]).sum()
    torch.testing.assert_close(total.double(), by_hand.double(), rtol=1e-5, atol=1e-5)
    names = ["words", "text", *dict(network.named_parameters())]
    for name, mine, other in zip(
        names, gradients(total, network, views), gradients(by_hand, network, views), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5, msg=name)


def test_the_alignment_reaches_the_text_view_alone(network: ITANetwork, views: Views) -> None:
    words, text, mask = views
    alignment = network.losses(network(words, mask, None, text_words=text), TAGS)["alignment"].sum()
    with_contexts, alone, *_ = gradients(alignment, network, views)
    assert not with_contexts.any()
    assert alone[mask].abs().sum() > 0
    assert not alone[~mask].any()
    # The linear layer and the transitions learn from it as far as they read the text alone.
    of_text = gradients(slow(network, (words.detach(), text, mask))["alignment"].sum(), network, views)
    for mine, other in zip(gradients(alignment, network, views), of_text, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_without_a_second_view_it_is_a_crf_over_words(network: ITANetwork, views: Views) -> None:
    words, _, mask = views
    assert network.losses(network(words, mask, None), TAGS).keys() == {"tags"}
