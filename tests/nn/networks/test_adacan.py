"""AdaCAN against the paper's formulas, one post and one word at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.additive_attention import AdditiveAttention
from flair_espvr.nn.networks.adacan import AdaCANConfig, AdaCANNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORD_SIZE, REGION_SIZE, SIZE = 7, 5, 6  # the first two are those of `inputs`


def network(**arguments: Any) -> AdaCANNetwork:
    config = AdaCANConfig(hidden_size=SIZE, **arguments)
    return AdaCANNetwork(config, word_size=WORD_SIZE, region_size=REGION_SIZE, labels=LABELS).double().eval()


def attended(attention: AdditiveAttention, keys: Tensor, query: Tensor, *, printed: bool) -> Tensor:
    """The keys (K, Dk) by importance for one query, with the printed concatenation or with both inside the tanh."""
    if not len(keys):
        return keys.new_zeros(keys.shape[1])
    text_side, text_weight = torch.randn(SIZE, len(query)).double(), torch.randn(SIZE).double()
    scores = []
    for key in keys:
        if printed:  # w . [tanh(W_v v_i) ; tanh(W_h h_t)]
            score = attention.score.weight[0] @ torch.tanh(attention.key(key))
            score = score + text_weight @ torch.tanh(text_side @ query)
        else:
            assert attention.query is not None
            score = attention.score.weight[0] @ torch.tanh(attention.key(key) + attention.query(query))
        scores.append(score)
    return torch.stack(scores).softmax(dim=0) @ keys


def one_post(model: AdaCANNetwork, words: Tensor, regions: Tensor) -> Tensor:
    """Emissions (T, L) of a post of T words and R regions, R = 0 without an image."""
    printed = model.config.attention == "published"
    text = words
    if model.config.recurrent_size is not None:
        text = model.encoder(words[None], torch.ones(1, len(words), dtype=torch.bool))[0][0]
    rows = []
    for h in text:
        seen = attended(model.visual_attention, regions, h, printed=printed)
        read = attended(model.text_attention, text, seen, printed=printed)
        p, r = torch.tanh(model.visual_fusion(seen)), torch.tanh(model.text_fusion(read))
        g = torch.sigmoid(model.fusion_gate.first(p) + model.fusion_gate.second(r))
        m = g * p + (1 - g) * r
        s = torch.sigmoid(model.filtration_gate.first(h) + model.filtration_gate.second(m))
        rows.append(model.tag_emissions(torch.cat([h, s * torch.tanh(model.filtered(m))])))
    return torch.stack(rows)


@pytest.mark.parametrize("attention", ["published", "joint"])
@pytest.mark.parametrize("recurrent_size", [None, 8])
def test_emissions_loss_and_gradients(
    attention: str,
    recurrent_size: int | None,
    inputs: tuple[Tensor, Tensor, ImageFeatures],
    compare: Callable[..., None],
) -> None:
    """As printed, whatever stands on the text's side of the concatenation: the softmax drops it."""
    model = network(attention=attention, recurrent_size=recurrent_size)
    compare(model, partial(one_post, model), inputs)


def test_as_printed_every_word_sees_the_same_picture(inputs: tuple[Tensor, Tensor, ImageFeatures]) -> None:
    words, _, images = inputs
    assert network().visual_attention(images.regions, images.mask).shape == (3, 1, REGION_SIZE)
    joint = network(attention="joint").visual_attention(images.regions, images.mask, words)
    assert joint.shape == (3, 4, REGION_SIZE)
    assert not torch.allclose(joint[0, 0], joint[0, 1])
