"""Every forward pass of the package on a fake CUDA device, and how often the host waits for it."""

import pytest
import torch

from flair_espvr.nn import (
    CrossModalLayer,
    GatedFusion,
    LinearChainCRF,
    SelfAttentionStack,
    Spans,
    bio_spans,
    position_each_entity,
    position_regions,
    select_regions,
    span_features,
    straight_through_weights,
)
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.grounding.head import GroundingHead
from flair_espvr.nn.grounding.tensors import GoldRegions
from flair_espvr.nn.networks.espvr import ESPVRConfig, ESPVRNetwork

BATCH, WORDS, ENTITIES, REGIONS, HIDDEN = 3, 7, 2, 12, 8
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
GRID = (3, 4)


@pytest.mark.parametrize("training", [True, False])
def test_attention_modules(fake_cuda, training):
    with fake_cuda():
        words, mask = torch.randn(BATCH, WORDS, 5), torch.ones(BATCH, WORDS, dtype=torch.bool)
        regions, region_mask = torch.randn(BATCH, REGIONS, HIDDEN), torch.ones(BATCH, REGIONS, dtype=torch.bool)
        encoder = SelfAttentionStack(5, HIDDEN, num_heads=2, num_layers=2, dropout=0.1).train(training)
        layer = CrossModalLayer(HIDDEN, 2, 0.1).train(training)
        fusion = GatedFusion(HIDDEN, 2, 0.1).train(training)
    with torch.set_grad_enabled(training):
        text = encoder(words, mask)
        assert layer(text, regions, region_mask).device.type == "cuda"
        fused = fusion(text, mask, *select_regions(regions, region_mask, 4))
    assert fused.device.type == "cuda"
    assert fused.shape == (BATCH, WORDS, 2 * HIDDEN)
    assert fake_cuda.reads.count == 0


def test_positioning(fake_cuda):
    with fake_cuda():
        entities = torch.randn(BATCH, ENTITIES, HIDDEN)
        entity_mask = torch.ones(BATCH, ENTITIES, dtype=torch.bool)
        regions = torch.randn(BATCH, REGIONS, HIDDEN)
    positions = position_regions(entities, entity_mask, regions, grid=GRID, window=2)
    each = position_each_entity(entities, entity_mask, regions, grid=GRID, window=2)
    for result in (positions, each):
        assert {field.device.type for field in vars(result).values()} == {"cuda"}
    assert straight_through_weights(positions.scores, entity_mask).device.type == "cuda"
    assert fake_cuda.reads.count == 0


def test_crf_predicts_without_waiting(fake_cuda):
    with fake_cuda():
        crf = LinearChainCRF(LABELS)
        emissions, mask = torch.randn(BATCH, WORDS, len(LABELS)), torch.ones(BATCH, WORDS, dtype=torch.bool)
        index = torch.zeros(BATCH, ENTITIES, dtype=torch.long)
        spans = Spans(index, index + 1, index, index == 0)
    assert crf.decode(emissions, mask).device.type == "cuda"
    assert crf.label_probabilities(emissions, mask).device.type == "cuda"
    assert crf.span_probabilities(emissions, mask, spans).device.type == "cuda"
    assert fake_cuda.reads.count == 0


def test_crf_loss(fake_cuda):
    with fake_cuda():
        crf = LinearChainCRF(LABELS)
        emissions, mask = torch.randn(BATCH, WORDS, len(LABELS)), torch.ones(BATCH, WORDS, dtype=torch.bool)
        tags = torch.zeros(BATCH, WORDS, dtype=torch.long)
    assert crf.loss(emissions, tags, mask).device.type == "cuda"
    assert fake_cuda.reads.count == 0


def test_reading_spans_does_not_wait(fake_cuda):
    with fake_cuda():
        crf = LinearChainCRF(LABELS)
        tags, mask = torch.zeros(BATCH, WORDS, dtype=torch.long), torch.ones(BATCH, WORDS, dtype=torch.bool)
        hidden = torch.randn(BATCH, WORDS, HIDDEN)
    spans = bio_spans(tags, mask, begin=crf.begin, inside=crf.inside)
    assert spans.mask.shape == (BATCH, WORDS)
    assert {field.device.type for field in vars(spans).values()} == {"cuda"}
    assert span_features(hidden, spans).device.type == "cuda"
    assert fake_cuda.reads.count == 0


@pytest.mark.parametrize("pictures", [True, False])
@pytest.mark.parametrize("regions", ["positioned", "all"])
def test_the_whole_network_and_its_decoding_do_not_wait(fake_cuda, regions, pictures):
    with fake_cuda():
        network = ESPVRNetwork(
            ESPVRConfig(regions=regions, window=2, hidden_size=HIDDEN, num_heads=2, num_layers=1, dropout=0.1),
            word_size=5,
            region_size=6,
            labels=LABELS,
        )
        head = GroundingHead(word_size=5, region_size=6, labels=len(LABELS))
        words, mask = torch.randn(BATCH, WORDS, 5), torch.ones(BATCH, WORDS, dtype=torch.bool)
        present = torch.ones(BATCH, dtype=torch.bool)
        visual = ImageFeatures(torch.randn(BATCH, REGIONS, 6), torch.randn(BATCH, 6), present, GRID, count=BATCH)
        tags = torch.zeros(BATCH, WORDS, dtype=torch.long)
    output = network(words, mask, visual if pictures else None)
    assert network.total_loss(network.losses(output, tags), BATCH).device.type == "cuda"
    spans = network.decode(output)
    scores = network.tag_crf.span_probabilities(output.emissions, mask, spans)
    assert scores.shape == (BATCH, WORDS)
    if pictures:
        mentions = network.mentions(words, output, spans)
        grounding = head.answer(mentions, visual)
        assert grounding.places.shape == (BATCH, WORDS, 4)
        gold = GoldRegions(spans, torch.rand_like(grounding.places).unsqueeze(2), spans.mask.unsqueeze(2))
        assert all(term.shape == (BATCH,) for term in head.losses(mentions, visual, gold).values())
        assert head.learned
        assert {field.device.type for field in vars(head.answer(mentions, visual)).values()} == {"cuda"}
    assert fake_cuda.reads.count == 0


def test_a_tensor_on_the_wrong_device_fails(fake_cuda):
    with fake_cuda():
        entities, regions = torch.randn(BATCH, ENTITIES, HIDDEN), torch.randn(BATCH, REGIONS, HIDDEN)
    entity_mask = torch.ones(BATCH, ENTITIES, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="device"):
        position_regions(entities, entity_mask, regions, grid=GRID, window=2)
