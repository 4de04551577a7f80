"""GVATT against the paper's formulas, one post and one word at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.networks.gvatt import GVATTConfig, GVATTNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORD_SIZE, REGION_SIZE, SIZE = 7, 5, 6  # the first two are those of `inputs`


def network(**arguments: Any) -> GVATTNetwork:
    config = GVATTConfig(hidden_size=SIZE, **arguments)
    return GVATTNetwork(config, word_size=WORD_SIZE, region_size=REGION_SIZE, labels=LABELS).double().eval()


def printed_weights(network: GVATTNetwork, regions: Tensor, query: Tensor) -> Tensor:
    """softmax_i(W_a [P_q ; P_v_i]), in full: the tanh of each side comes before they are joined."""
    text_side = torch.randn(SIZE, len(query)).double()  # W_t, and W_a's part for it: whatever they are
    text_weight = torch.randn(SIZE).double()
    scores = []
    for region in regions:
        visual = torch.tanh(network.attention.key(network.region_projection(region)))
        scores.append(text_weight @ torch.tanh(text_side @ query) + network.attention.score.weight[0] @ visual)
    return torch.stack(scores).softmax(dim=0)


def test_attention_as_printed_cannot_depend_on_the_text(inputs: tuple[Tensor, Tensor, ImageFeatures]) -> None:
    """The text's part is the same for every region, so that the softmax drops it; ours leaves it out from the start."""
    words, mask, images = inputs
    model = network()
    seen = model.attend(words, mask, images)
    for query in (torch.randn(9).double(), 100 * torch.randn(9).double()):
        weights = printed_weights(model, images.regions[0], query)
        torch.testing.assert_close(seen[0], weights @ model.region_projection(images.regions[0]))
    torch.testing.assert_close(model.attend(torch.randn_like(words), mask, images), seen)
    joint = network(attention="joint")
    changed = joint.attend(torch.randn_like(words), mask, images)
    assert not torch.allclose(joint.attend(words, mask, images)[0], changed[0])


def one_post(model: GVATTNetwork, words: Tensor, regions: Tensor) -> Tensor:
    """Emissions (T, L) of a post of T words and R regions, R = 0 without an image."""
    one = torch.ones(1, len(words), dtype=torch.bool)
    seen = torch.zeros(SIZE, dtype=torch.double)
    if len(regions):
        projected = model.region_projection(regions)
        hidden = model.attention.key(projected)
        if model.config.attention == "joint":
            query = model.query(words[None], one)[1][0] if model.config.recurrent else words.mean(dim=0)
            assert model.attention.query is not None
            hidden = hidden + model.attention.query(query)
        seen = (model.attention.score(hidden.tanh())[:, 0].softmax(dim=0)[:, None] * projected).sum(dim=0)
    states = model.encoder(words[None], one, seen[None])[0][0] if model.config.recurrent else model.encoder(words)
    rows = []
    for h in states:
        visual = torch.sigmoid(model.visual_gate.first(h) + model.visual_gate.second(seen))
        word = torch.sigmoid(model.word_gate.first(h) + model.word_gate.second(seen))
        m = torch.tanh(model.word_modulation(h) + model.visual_modulation(seen))
        rows.append(model.tag_emissions(word * h + visual * m))
    return torch.stack(rows)


@pytest.mark.parametrize("attention", ["published", "joint"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_emissions_loss_and_gradients(
    attention: str, recurrent: bool, inputs: tuple[Tensor, Tensor, ImageFeatures], compare: Callable[..., None]
) -> None:
    model = network(attention=attention, recurrent=recurrent)
    compare(model, partial(one_post, model), inputs)
