"""UMGF against its formulas, one post at a time; a layer of its graph is recomputed in `test_bimodal_graph.py`."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures, ObjectFeatures
from flair_espvr.nn.networks.umgf import UMGFConfig, UMGFNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORD_SIZE, REGION_SIZE = 7, 5  # those of `inputs`

Inputs = tuple[Tensor, Tensor, ImageFeatures]


def network() -> UMGFNetwork:
    config = UMGFConfig(type_words=("person", "place", "thing"), hidden_size=6, num_heads=2, feedforward_size=4)
    return UMGFNetwork(config, word_size=WORD_SIZE, region_size=REGION_SIZE, labels=LABELS).double().eval()


def one_post(model: UMGFNetwork, words: Tensor, regions: Tensor, objects: ObjectFeatures | None = None) -> Tensor:
    """Emissions (T, L) of a post of T words, whose whole picture is the mean of its R regions, R = 0 without one."""
    first, _, _, second, _ = model.crop_nodes
    crops = []
    for place in range(3 if len(regions) else 0):
        found = objects is not None and objects.mask[0, place]
        crop = objects.vectors[0, place] if found else regions.mean(dim=0)  # type: ignore[union-attr, index]
        crops.append(second(first(crop).clamp(min=0)).clamp(min=0))
    nodes = torch.stack([model.word_nodes(word) for word in words])[None]
    seen = torch.stack(crops)[None] if crops else torch.zeros(1, 1, 6).double()
    there = torch.full(seen.shape[:2], bool(crops))
    for layer in model.layers:
        nodes, seen = layer(nodes, torch.ones(nodes.shape[:2]).bool(), seen, there)
    rows = [torch.cat([word, node]) for word, node in zip(words, nodes[0], strict=True)]
    return torch.stack([model.tag_emissions(row) for row in rows])


@pytest.mark.parametrize("with_objects", [True, False])
def test_emissions_loss_and_gradients(
    with_objects: bool, inputs: Inputs, objects: ObjectFeatures, compare: Callable[..., None]
) -> None:
    model = network()
    compare(model, partial(one_post, model), inputs, objects=objects if with_objects else None)


def test_crops_without_a_picture_are_not_there(inputs: Inputs, objects: ObjectFeatures) -> None:
    words, mask, images = inputs
    model = network()
    torch.testing.assert_close(model(words, mask, images).emissions[1], model(words, mask, None).emissions[1])


def test_type_words_are_some_and_distinct() -> None:
    for words in ((), ("person", "person")):
        with pytest.raises(ValueError, match=r"at least 1|given twice"):
            UMGFConfig(type_words=words)
