"""The whole network on plain tensors: its parts fit, on any device, and text alone needs nothing of pictures."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.grounding.tensors import GoldRegions
from flair_espvr.nn.layers.spans import Spans, span_features
from flair_espvr.nn.networks.espvr import ESPVRConfig, ESPVRNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SENTENCES, WORDS, WORD_SIZE, REGION_SIZE, GRID = 3, 5, 6, 7, (3, 4)


def network(**arguments: Any) -> ESPVRNetwork:
    sizes = {"window": 2, "hidden_size": 8, "num_heads": 2, "num_layers": 1, "dropout": 0.0}
    region_size = arguments.pop("region_size", REGION_SIZE)
    config = ESPVRConfig(**{**sizes, **arguments})
    return ESPVRNetwork(config, word_size=WORD_SIZE, region_size=region_size, labels=LABELS)


def inputs() -> tuple[torch.Tensor, torch.Tensor, ImageFeatures]:
    words = torch.randn(SENTENCES, WORDS, WORD_SIZE)
    mask = torch.arange(WORDS) < torch.tensor([WORDS, 3, 1])[:, None]
    regions = torch.randn(SENTENCES, GRID[0] * GRID[1], REGION_SIZE)
    present = torch.tensor([True, True, False])
    return words, mask, ImageFeatures(regions, regions[:, 0], present, GRID, count=2)


@pytest.mark.parametrize("regions", ["positioned", "all"])
@pytest.mark.parametrize("training", [True, False])
def test_makes_every_tensor_on_the_device_of_its_inputs(
    fake_cuda: Callable[[], Any], regions: str, training: bool
) -> None:
    with fake_cuda():
        model = network(regions=regions).train(training)
        words, mask, visual = inputs()
    output = model(words, mask, visual)
    entities = model.decode(output)
    positions = model.position_entities(output, entities, visual)
    scores = model.tag_crf.span_probabilities(output.emissions, mask, entities)
    for tensor in (output.emissions, positions.mask, positions.scores, scores):
        assert tensor.device.type == "cuda"


def test_text_alone_makes_every_tensor_on_the_device_of_its_inputs(fake_cuda: Callable[[], Any]) -> None:
    with fake_cuda():
        model = network(regions="none", region_size=None)
        words, mask, _ = inputs()
    assert model(words, mask, None).emissions.device.type == "cuda"


def test_the_loss_is_the_sum_of_both_likelihoods() -> None:
    """Eq. 10, term by term."""
    model = network(span_loss_weight=0.5)
    words, mask, visual = inputs()
    output = model(words, mask, visual)
    tags = torch.tensor([[1, 2, 0, 3, 4], [0, 3, 0, 0, 0], [1, 0, 0, 0, 0]])
    spans = torch.tensor([[1, 2, 0, 1, 2], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    assert output.span_emissions is not None
    with torch.no_grad():
        terms = model.losses(output, tags)
        ours = terms["tags"] + model.loss_weights["spans"] * terms["spans"]
        total = model.total_loss(terms, len(tags))
        for crf in (model.tag_crf, model.span_crf):  # without its ban on illegal tags, torchcrf's partition is larger
            crf.crf.transitions.masked_fill_(crf._illegal, -1e4)
            crf.crf.start_transitions.masked_fill_(crf._illegal_start, -1e4)
        expected = -model.tag_crf.crf(output.emissions, tags, mask, reduction="none")
        expected = expected - 0.5 * model.span_crf.crf(output.span_emissions, spans, mask, reduction="none")
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(total, expected.sum(), rtol=1e-4, atol=1e-4)


def test_text_alone_has_no_visual_layers() -> None:
    names = {name.split(".")[0] for name, _ in network(regions="none", region_size=None).named_parameters()}
    assert names == {"text_encoder", "tag_emissions", "tag_crf"}


def test_regions_are_asked_for_only_where_there_are_any() -> None:
    model = network(regions="none", region_size=None)
    words, mask, visual = inputs()
    output = model(words, mask, None)
    with pytest.raises(ValueError, match="no regions"):
        model.position_entities(output, model.decode(output), visual)


def places() -> GoldRegions:
    """Post 0 shows its first entity twice and its second nowhere, post 1 in half of a cell; post 2 has no image."""
    start = torch.tensor([[0, 3], [1, 0], [0, 0]])
    exists = torch.tensor([[True, True], [True, False], [True, False]])
    boxes = torch.zeros(3, 2, 2, 4)
    boxes[0, 0] = torch.tensor([[0.0, 0.0, 0.5, 1 / 3], [0.75, 2 / 3, 1.0, 1.0]])  # cells 0, 1 and 11
    boxes[1, 0, 0] = torch.tensor([0.25, 1 / 3, 0.375, 2 / 3])  # half of cell 5
    boxes[2, 0, 0] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    mask = torch.tensor([[[True, True], [False, False]], [[True, False], [False, False]], [[True, False], [False] * 2]])
    return GoldRegions(Spans(start, start + exists, torch.zeros_like(start), exists), boxes, mask)


def test_positions_learn_how_much_of_the_relevance_is_in_the_boxes() -> None:
    model, (words, mask, visual), gold = network(), inputs(), places()
    output = model(words, mask, visual)
    terms = model.place_losses(output, visual, gold)
    assert output.regions is not None
    entities, regions = span_features(output.text, gold.spans).detach(), output.regions.detach()
    covered = {(0, 0): {0: 1.0, 1: 1.0, 11: 1.0}, (1, 0): {5: 0.5}}
    expected = [0.0, 0.0, 0.0]
    for (post, entity), cells in covered.items():
        asked = [float(entities[post, entity] @ region) / math.sqrt(8) for region in regions[post]]
        total = sum(math.exp(logit) for logit in asked)
        expected[post] -= math.log(sum(share * math.exp(asked[cell]) / total for cell, share in cells.items()))
    torch.testing.assert_close(terms, {"positions": torch.tensor(expected)}, rtol=1e-4, atol=1e-5)
    terms["positions"].sum().backward()
    gradients = [parameter.grad for parameter in model.region_projection.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_positions_learn_nothing_where_no_window_is_positioned() -> None:
    model, (words, mask, visual) = network(regions="all"), inputs()
    assert model.place_losses(model(words, mask, visual), visual, places()) == {}


def test_positions_learn_which_of_several_images_it_is() -> None:
    """With the same two images in either order the boxes go along."""
    model, (words, mask, visual), gold = network(), inputs(), places()
    others = torch.randn_like(visual.regions)
    both = torch.tensor([[True, True], [True, True], [False, False]])

    def two(first: torch.Tensor, second: torch.Tensor) -> ImageFeatures:
        return replace(visual, regions=torch.cat([first, second], dim=1), several=both)

    loss = {}
    for place, images in enumerate((two(visual.regions, others), two(others, visual.regions))):
        known = replace(gold, images=torch.full_like(gold.mask, place, dtype=torch.long))
        loss[place] = model.place_losses(model(words, mask, images), images, known)["positions"]
    torch.testing.assert_close(loss[0], loss[1])
    alone = model.place_losses(model(words, mask, visual), visual, gold)["positions"]
    assert (loss[0][:2] > alone[:2]).all()  # the other image has relevance, too


def test_what_boxes_teach_gets_no_straight_through_gradient() -> None:
    model, (words, mask, visual) = network().train(), inputs()
    taught = torch.tensor([True, False, False])
    output = model(words, mask, visual, spans=places().spans, taught=taught)
    assert output.positions is not None
    output.positions.scores.retain_grad()
    output.emissions.sum().backward()
    gradient = output.positions.scores.grad
    assert gradient is not None
    assert gradient.flatten(1).any(dim=1).tolist() == [False, True, False]  # post 2 has no image
