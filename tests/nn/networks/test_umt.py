"""UMT against a plain computation from the paper's formulas: one post, one head, one position at a time."""

import math

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.cross_modal import CrossModalLayer
from flair_espvr.nn.layers.self_attention import SelfAttentionStack
from flair_espvr.nn.networks.umt import UMTConfig, UMTNetwork, conversion_matrix

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
POSTS, WORDS, WORD_SIZE, REGION_SIZE, GRID, HEADS = 3, 5, 8, 7, (2, 3), 2
LENGTHS = (WORDS, 3, 1)
TAGS = torch.tensor([[1, 2, 0, 3, 4], [0, 3, 0, 0, 0], [1, 0, 0, 0, 0]])


@pytest.fixture
def network() -> UMTNetwork:
    network = UMTNetwork(UMTConfig(num_heads=HEADS), word_size=WORD_SIZE, region_size=REGION_SIZE, labels=LABELS)
    return network.double().eval()


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, ImageFeatures]:
    words = torch.randn(POSTS, WORDS, WORD_SIZE, dtype=torch.double, requires_grad=True)
    mask = torch.arange(WORDS) < torch.tensor(LENGTHS)[:, None]
    regions = torch.randn(POSTS, GRID[0] * GRID[1], REGION_SIZE, dtype=torch.double)
    present = torch.tensor([True, False, True])
    return words, mask, ImageFeatures(regions, regions.mean(1), present, GRID, count=2)


def attend(layer: torch.nn.MultiheadAttention, query: Tensor, keys: Tensor) -> Tensor:
    """Multi-head attention of one query (D,) to keys (K, D), head by head; zeros where there are no keys."""
    if not len(keys):
        return torch.zeros_like(query)
    size = len(query) // HEADS
    weights, biases = layer.in_proj_weight.split(len(query)), layer.in_proj_bias.split(len(query))
    heads = []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        q, k, v = (
            (vectors @ weight.T + bias)[..., part]
            for vectors, weight, bias in zip((query, keys, keys), weights, biases, strict=True)
        )
        shares = torch.stack([k[place] @ q / math.sqrt(size) for place in range(len(k))]).softmax(dim=0)
        heads.append(sum(shares[place] * v[place] for place in range(len(v))))
    return layer.out_proj(torch.cat(heads))


def cross_modal(layer: CrossModalLayer, queries: Tensor, keys: Tensor) -> Tensor:
    rows = []
    for query in queries:
        hidden = layer.attention_norm(query + attend(layer.attention, query, keys))
        rows.append(layer.feedforward_norm(hidden + layer.feedforward(hidden)))
    return torch.stack(rows) if rows else queries


def self_attention(stack: SelfAttentionStack, words: Tensor) -> Tensor:
    hidden = stack.projection(words)
    for layer in stack.layers:
        attended = torch.stack([attend(layer.self_attn, word, hidden) for word in hidden])
        middle = layer.norm1(hidden + attended)
        expanded = torch.nn.functional.gelu(layer.linear1(middle))
        hidden = layer.norm2(middle + layer.linear2(expanded))
    return hidden


def one_post(network: UMTNetwork, words: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
    """Decoder emissions (T, L) and span emissions (T, 3) of a post of T words and R regions, R = 0 without an image."""
    text = self_attention(network.text_encoder, words)
    spans = network.span_emissions(self_attention(network.span_encoder, words))
    fusion = network.fusion
    v1, v2 = network.region_projection(regions), network.asking_region_projection(regions)
    q = cross_modal(fusion.words_to_regions, text, v1)
    p = cross_modal(fusion.regions_to_words, v2, text)
    a = cross_modal(fusion.words_to_image_aware, text, p)
    gate = torch.sigmoid(fusion.image_aware_gate(a) + fusion.word_aware_gate(q))
    main = network.tag_emissions(torch.cat([a, gate * q], dim=1))
    emissions = torch.zeros_like(main)
    for word in range(len(words)):
        for label, name in enumerate(LABELS):
            share = {"O": spans[word, 0], "B": spans[word, 1] / 2, "I": spans[word, 2] / 2}[name[0]]
            emissions[word, label] = 0.5 * main[word, label] + 0.5 * share
    return emissions, spans


def test_emissions_losses_and_gradients(network: UMTNetwork, inputs: tuple[Tensor, Tensor, ImageFeatures]) -> None:
    words, mask, images = inputs
    output = network(words, mask, images)
    total = network.total_loss(network.losses(output, TAGS), POSTS)
    gradients = torch.autograd.grad(total, [words, *network.parameters()], allow_unused=True)

    slow = torch.zeros(())
    for post, length in enumerate(LENGTHS):
        regions = images.regions[post] if images.present[post] else images.regions[post, :0]
        emissions, spans = one_post(network, words[post, :length], regions)
        torch.testing.assert_close(output.emissions[post, :length], emissions, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(output.span_emissions[post, :length], spans, rtol=1e-5, atol=1e-5)
        one, tags = torch.ones(1, length, dtype=torch.bool), TAGS[post : post + 1, :length]
        slow = slow + network.tag_crf.loss(emissions[None], tags, one).sum()
        plain = torch.tensor([[0, 1, 2, 1, 2]])[:, tags[0]]
        slow = slow + 0.5 * network.span_crf.loss(spans[None], plain, one).sum()
    torch.testing.assert_close(total, slow, rtol=1e-5, atol=1e-5)
    expected = torch.autograd.grad(slow, [words, *network.parameters()], allow_unused=True)
    for name, mine, other in zip(["words", *dict(network.named_parameters())], gradients, expected, strict=True):
        assert (mine is None) == (other is None), name
        if mine is not None:
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_the_conversion_matrix_shares_span_labels_among_types() -> None:
    assert conversion_matrix(LABELS).tolist() == [[1, 0, 0, 0, 0], [0, 0.5, 0, 0.5, 0], [0, 0, 0.5, 0, 0.5]]


def test_the_tag_crf_trains_the_span_emissions(
    network: UMTNetwork, inputs: tuple[Tensor, Tensor, ImageFeatures]
) -> None:
    """Emission mixing makes the span head part of the decoder."""
    losses = network.losses(network(*inputs), TAGS)
    (gradient,) = torch.autograd.grad(losses["tags"].sum(), [network.span_emissions.weight])
    assert gradient.abs().sum() > 0
