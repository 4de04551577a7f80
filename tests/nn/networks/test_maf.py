"""MAF against a plain computation from the published formulas: one post and one word at a time."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.networks.maf import MAFConfig, MAFNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
POSTS, WORDS, WORD_SIZE, REGION_SIZE, GRID = 10, 5, 8, 7, (2, 3)
LENGTHS = (WORDS, 3, 1, 2, 4, 3, 2, 1, 2, 4)
PRESENT = [True, False, True, True, True, False, True, True, True, True]
SWAPPED = {8: 9, 9: 8}
"""Of eight posts with images the last two change them."""
TAGS = torch.zeros(POSTS, WORDS, dtype=torch.long)
TAGS[:, 0] = 1
TAGS[0, 1], TAGS[4, 2] = 2, 3

Inputs = tuple[Tensor, Tensor, ImageFeatures]


@pytest.fixture
def network() -> MAFNetwork:
    config = MAFConfig(num_heads=2, dropout=0.0)
    return MAFNetwork(config, word_size=WORD_SIZE, region_size=REGION_SIZE, labels=LABELS).double()


@pytest.fixture
def inputs() -> Inputs:
    words = torch.randn(POSTS, WORDS, WORD_SIZE, dtype=torch.double, requires_grad=True)
    mask = torch.arange(WORDS) < torch.tensor(LENGTHS)[:, None]
    regions = torch.randn(POSTS, GRID[0] * GRID[1], REGION_SIZE, dtype=torch.double)
    return words, mask, ImageFeatures(regions, regions.mean(1), torch.tensor(PRESENT), GRID, count=sum(PRESENT))


def mlp(layers: torch.nn.Sequential, vector: Tensor) -> Tensor:
    first, _, second = layers
    return second.weight @ (first.weight @ vector + first.bias).clamp(min=0) + second.bias


def one_post(network: MAFNetwork, words: Tensor, asking: Tensor, regions: Tensor | None) -> tuple[Tensor, Tensor]:
    """Emissions (T, L) and matching scores (2,) of a post's words (T, D); `asking` are the words that saw the image."""
    seen = torch.zeros_like(words)
    if regions is not None:
        values = network.region_projection(regions)
        every = torch.ones(1, len(values), dtype=torch.bool)
        rows = [
            network.words_to_regions(word[None, None], values[None], every)[0, 0] if place < len(words) else None
            for place, word in enumerate(asking)
        ]
        seen = torch.stack([row for row in rows if row is not None])
    scores = network.matching(torch.cat([sum(words) / len(words), sum(seen) / len(words)]))
    likely = scores[1].exp() / (scores[0].exp() + scores[1].exp())
    emissions = []
    for word, image in zip(words, seen, strict=True):
        gate = 1 / (1 + torch.exp(-(network.gate.first(word) + network.gate.second(likely * image))))
        emissions.append(network.tag_emissions(torch.cat([word, gate * likely * image])))
    return torch.stack(emissions), scores


def slow(network: MAFNetwork, inputs: Inputs) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Emissions of each post and the terms of the loss, (B,) each."""
    words, _, images = inputs
    shown = SWAPPED if network.training else {}
    padded = [torch.cat([words[post, :n], words.new_zeros(WORDS - n, WORD_SIZE)]) for post, n in enumerate(LENGTHS)]
    emissions, terms = [], {"tags": [], "match": [], "align": []}
    with_image = [post for post in range(POSTS) if PRESENT[post]]
    texts = [mlp(network.text_alignment, sum(words[post, :n]) / n) for post, n in enumerate(LENGTHS)]
    pictures = [mlp(network.image_alignment, vector) for vector in images.pooled]

    def logit(text: int, picture: int) -> Tensor:
        return torch.cosine_similarity(texts[text], pictures[picture], dim=0) / 0.179

    for post, length in enumerate(LENGTHS):
        other = shown.get(post, post)
        regions = images.regions[other] if PRESENT[post] else None
        rows, scores = one_post(network, words[post, :length], padded[other], regions)
        emissions.append(rows)
        one = torch.ones(1, length, dtype=torch.bool)
        terms["tags"].append(network.tag_crf.loss(rows[None], TAGS[post : post + 1, :length], one)[0])
        zero = torch.zeros(()).double()
        match = scores.exp().sum().log() - scores[int(other == post)]
        terms["match"].append(match if PRESENT[post] else zero)
        if network.training and PRESENT[post]:
            to_image = sum(logit(post, picture).exp() for picture in with_image).log() - logit(post, post)
            to_text = sum(logit(text, post).exp() for text in with_image).log() - logit(post, post)
            terms["align"].append(0.7 * to_image + 0.3 * to_text)
        else:
            terms["align"].append(zero)
    return emissions, {name: torch.stack(rows) for name, rows in terms.items()}


@pytest.mark.parametrize("training", [True, False])
def test_emissions_losses_and_gradients(network: MAFNetwork, inputs: Inputs, training: bool) -> None:
    network.train(training)
    words, mask, images = inputs
    output = network(words, mask, images)
    losses = network.losses(output, TAGS)
    emissions, expected = slow(network, inputs)
    for post, length in enumerate(LENGTHS):
        torch.testing.assert_close(output.emissions[post, :length], emissions[post], rtol=1e-5, atol=1e-5)
    assert losses.keys() == expected.keys()
    for name, rows in expected.items():
        torch.testing.assert_close(losses[name].double(), rows.double(), rtol=1e-5, atol=1e-5)
    total = network.total_loss(losses, POSTS)
    by_hand = (0.62 * expected["tags"] + 0.38 * (expected["match"] + expected["align"])).sum()
    torch.testing.assert_close(total.double(), by_hand.double(), rtol=1e-5, atol=1e-5)
    given = [words, *network.parameters()]
    gradients = [torch.autograd.grad(loss, given, allow_unused=True) for loss in (total, by_hand)]
    for name, mine, other in zip(["words", *dict(network.named_parameters())], *gradients, strict=True):
        mine, other = (torch.zeros(()) if gradient is None else gradient for gradient in (mine, other))
        torch.testing.assert_close(mine.double(), other.double().expand_as(mine), rtol=1e-5, atol=1e-5, msg=name)


def test_in_training_the_tagger_reads_the_image_that_was_swapped_in(network: MAFNetwork, inputs: Inputs) -> None:
    """Of the eight posts with images the last two, 8 and 9, are shown each other's; alone, each is shown its own."""
    words, mask, images = inputs
    changed = images.regions.clone()
    changed[9] += 1
    for training, moved in ((True, [8]), (False, [9])):
        network.train(training)
        before = network(words, mask, images).emissions
        after = network(words, mask, replace(images, regions=changed)).emissions
        assert (before != after).flatten(1).any(dim=1).nonzero().flatten().tolist() == moved


def test_a_post_without_an_image_gets_what_its_text_gives_and_no_other_term(
    network: MAFNetwork, inputs: Inputs
) -> None:
    words, mask, images = inputs
    for training in (True, False):
        network.train(training)
        output, alone = network(words, mask, images), network(words, mask, None)
        torch.testing.assert_close(output.emissions[[1, 5]], alone.emissions[[1, 5]])
        losses = network.losses(output, TAGS)
        assert not losses["match"][[1, 5]].any()
        assert not losses["align"][[1, 5]].any()
        assert not network.losses(alone, TAGS)["match"].any()


def test_it_cannot_do_without_images_and_says_what_its_heads_have_to_divide() -> None:
    with pytest.raises(ValueError, match="region_size"):
        MAFNetwork(MAFConfig(), word_size=12, region_size=None, labels=LABELS)
    with pytest.raises(ValueError, match="the size of the word vectors=10 is not a multiple of num_heads=12"):
        MAFNetwork(MAFConfig(), word_size=10, region_size=3, labels=LABELS)
    with pytest.raises(ValueError, match="multiple of 2"):
        MAFConfig(negatives=3)
