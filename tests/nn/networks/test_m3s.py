"""The interpretation of M3S against its formulas, one post and one word at a time."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures, ObjectFeatures
from flair_espvr.nn.networks.m3s import M3SConfig, M3SNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORD_SIZE, REGION_SIZE = 7, 5  # those of `inputs`

Inputs = tuple[Tensor, Tensor, ImageFeatures]


def network() -> M3SNetwork:
    config = M3SConfig(object_labels=("man", "dog", "cup"), hidden_size=6, num_heads=2, span_loss_weight=0.3)
    return M3SNetwork(config, word_size=WORD_SIZE, region_size=REGION_SIZE, labels=LABELS).double().eval()


def encoded(model: M3SNetwork, words: Tensor) -> Tensor:
    return model.text_encoder(words[None], torch.ones(1, len(words), dtype=torch.bool))[0]


def one_post(model: M3SNetwork, words: Tensor, regions: Tensor, objects: ObjectFeatures | None = None) -> Tensor:
    """Emissions (T, L) of a post of T words and R regions, R = 0 without an image."""
    nodes = words.new_zeros(0, 6)
    if objects is not None:
        there = objects.mask[0]
        found, exist = model.scene_graph(objects.labels[:, there], objects.boxes[:, there], objects.mask[:, there])
        nodes = found[0][exist[0]]
    rows = []
    for word in encoded(model, words):
        views = []
        for layer, keys in ((model.words_to_regions, model.region_projection(regions)), (model.words_to_graph, nodes)):
            views.append(layer(word[None, None], keys[None], torch.ones(1, len(keys), dtype=torch.bool))[0, 0])
        grid, graph = views
        gate = torch.sigmoid(model.gate.first(grid) + model.gate.second(graph))
        segment = model.span_emissions(word).exp()
        segmented = word + model.span_embedding.weight @ (segment / segment.sum())
        rows.append(model.tag_emissions(torch.cat([segmented, gate * grid + (1 - gate) * graph])))
    return torch.stack(rows)


def terms(model: M3SNetwork, words: Tensor, regions: Tensor, tags: Tensor) -> Mapping[str, Tensor]:
    plain = torch.tensor([0, 1, 2, 1, 2])[tags][None]
    emissions = model.span_emissions(encoded(model, words))[None]
    return {"spans": model.span_crf.loss(emissions, plain, torch.ones_like(plain).bool()).sum()}


@pytest.mark.parametrize("with_objects", [True, False])
def test_emissions_losses_and_gradients(
    with_objects: bool, inputs: Inputs, objects: ObjectFeatures, compare: Callable[..., None]
) -> None:
    model = network()
    compare(model, partial(one_post, model), inputs, partial(terms, model), objects if with_objects else None)


def test_segments_are_found_without_the_picture(inputs: Inputs, objects: ObjectFeatures) -> None:
    words, mask, images = inputs
    model = network()
    seen = model(words, mask, images, objects=objects).span_emissions
    torch.testing.assert_close(model(words, mask, None).span_emissions, seen)
