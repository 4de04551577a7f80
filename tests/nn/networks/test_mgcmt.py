"""MGCMT against its formulas, one post and one word at a time."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures, ObjectFeatures
from flair_espvr.nn.layers.cross_modal import CrossModalLayer
from flair_espvr.nn.networks.mgcmt import Granularity, MGCMTConfig, MGCMTNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORD_SIZE, REGION_SIZE = 7, 5  # those of `inputs`

Inputs = tuple[Tensor, Tensor, ImageFeatures]


def network() -> MGCMTNetwork:
    config = MGCMTConfig(object_labels=("man", "dog", "cup"), hidden_size=6, num_heads=2, span_loss_weight=0.3)
    return MGCMTNetwork(config, word_size=WORD_SIZE, region_size=REGION_SIZE, labels=LABELS).double().eval()


def every(vectors: Tensor) -> Tensor:
    return torch.ones(1, len(vectors), dtype=torch.bool)


def asked(layer: CrossModalLayer, queries: Tensor, keys: Tensor) -> Tensor:
    """Each query (D,) by itself asks the keys (K, D)."""
    return torch.stack([layer(query[None, None], keys[None], every(keys))[0, 0] for query in queries])


def seen(view: Granularity, text: Tensor, vectors: Tensor) -> Tensor:
    first = second = text[:0]
    i2_keys = text[:0]
    if len(vectors):
        first, second = (stack(vectors[None], every(vectors))[0] for stack in (view.asked, view.asking))
        i2_keys = asked(view.paths.regions_to_words, second, text)
    i1 = asked(view.paths.words_to_regions, text, first)
    i2 = asked(view.paths.words_to_image_aware, text, i2_keys)
    rows = []
    for direct, coupled in zip(i1, i2, strict=True):
        f = torch.sigmoid(view.gate.first(direct) + view.gate.second(coupled))
        rows.append(f * direct + (1 - f) * coupled)
    return torch.stack(rows)


def one_post(model: MGCMTNetwork, words: Tensor, regions: Tensor, objects: ObjectFeatures | None = None) -> Tensor:
    """Emissions (T, L) of a post of T words and R regions, R = 0 without an image."""
    text = model.text_encoder(words[None], every(words))[0]
    names = text[:0] if objects is None else model.object_labels.weight[objects.labels[objects.mask]]
    both = torch.cat([seen(model.regions, text, regions), seen(model.objects, text, names)], dim=1)
    joined = model.joined[1](both).clamp(min=0)
    return model.tag_emissions(model.fused(torch.cat([text, joined], dim=1)))


def terms(model: MGCMTNetwork, words: Tensor, regions: Tensor, tags: Tensor) -> Mapping[str, Tensor]:
    emissions = model.span_emissions(model.span_encoder(words[None], every(words)))
    plain = torch.tensor([0, 1, 2, 1, 2])[tags][None]
    return {"spans": model.span_crf.loss(emissions, plain, every(words)).sum()}


@pytest.mark.parametrize("with_objects", [True, False])
def test_emissions_losses_and_gradients(
    with_objects: bool, inputs: Inputs, objects: ObjectFeatures, compare: Callable[..., None]
) -> None:
    model = network()
    compare(model, partial(one_post, model), inputs, partial(terms, model), objects if with_objects else None)


def test_objects_count_without_regions(inputs: Inputs, objects: ObjectFeatures) -> None:
    words, mask, _ = inputs
    model = network()
    with_objects, without = model(words, mask, None, objects=objects), model(words, mask, None)
    torch.testing.assert_close(with_objects.emissions[1], without.emissions[1])  # it has none
    assert not torch.allclose(with_objects.emissions[0], without.emissions[0])
