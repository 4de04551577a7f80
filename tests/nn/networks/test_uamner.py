"""The interpretation of UAMNer against its formulas, one post and one word at a time."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest
import torch
from torch import Tensor

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.networks.uamner import UAMNerConfig, UAMNerNetwork

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORD_SIZE, REGION_SIZE = 7, 5  # those of `inputs`

Inputs = tuple[Tensor, Tensor, ImageFeatures]


def network(threshold: float = 1.58) -> UAMNerNetwork:
    """With a threshold that some of the untrained drafts are above, and some below."""
    config = UAMNerConfig(hidden_size=6, num_heads=2, samples=3, threshold=threshold, draft_loss_weight=0.7)
    return UAMNerNetwork(config, word_size=WORD_SIZE, region_size=REGION_SIZE, labels=LABELS).double().eval()


def drafted(model: UAMNerNetwork, word: Tensor) -> Tensor:
    """Probabilities of one word's tags: the mean over the networks of the draft."""
    draft = model.draft
    samples = [draft.scores(torch.tanh(draft.hidden(word)) * mask).softmax(dim=0) for mask in draft.masks]
    return sum(samples) / len(samples)


def one_post(model: UAMNerNetwork, words: Tensor, regions: Tensor) -> Tensor:
    """Emissions (T, L) of a post of T words and R regions, R = 0 without an image."""
    drafts = [drafted(model, word) for word in words]
    text = model.text_encoder(words[None], torch.ones(1, len(words), dtype=torch.bool))[0]
    labels = torch.stack([model.label_embedding.weight @ draft.detach() for draft in drafts])[None]
    values = model.region_projection(regions)[None]
    rows = []
    for word, draft in zip(text, drafts, strict=True):
        candidate = model.words_to_labels(word[None, None], labels, torch.ones(1, len(words), dtype=torch.bool))
        seen = model.words_to_regions(word[None, None], values, torch.ones(1, len(regions), dtype=torch.bool))
        refined = model.tag_emissions(torch.cat([candidate[0, 0], seen[0, 0]]))
        unsure = -sum(share * share.log() for share in draft) > model.config.threshold
        rows.append(refined if unsure or model.training else draft.log())
    return torch.stack(rows)


def terms(model: UAMNerNetwork, words: Tensor, regions: Tensor, tags: Tensor) -> Mapping[str, Tensor]:
    losses = [-drafted(model, word)[tag].log() for word, tag in zip(words, tags, strict=True)]
    return {"draft": torch.stack(losses).sum()}


def test_emissions_losses_and_gradients(inputs: Inputs, compare: Callable[..., None]) -> None:
    model = network()
    unsure = model(*inputs).unsure[inputs[1]]
    assert unsure.any()
    assert not unsure.all()
    with_refined_ones = model(*inputs).emissions.detach()
    compare(model, partial(one_post, model), inputs, partial(terms, model))
    assert not torch.equal(network(threshold=9.0)(*inputs).emissions, with_refined_ones)


def test_every_word_is_refined_in_training(inputs: Inputs) -> None:
    words, mask, images = inputs
    model = network(threshold=9.0)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    drafts = model(words, mask, images).emissions
    model.train()
    refined = model(words, mask, images)
    assert not refined.unsure.any()
    (gradient,) = torch.autograd.grad(model.losses(refined, torch.zeros(3, 4).long())["tags"].sum(), [words])
    assert gradient.abs().sum() > 0
    assert not torch.allclose(drafts[mask], refined.emissions[mask])


def test_what_is_sure_does_not_look_at_the_picture(inputs: Inputs) -> None:
    words, mask, images = inputs
    model = network()
    with_picture, without = model(words, mask, images), model(words, mask, None)
    assert torch.equal(with_picture.unsure, without.unsure)
    changed = (with_picture.emissions != without.emissions).any(dim=-1)[0]
    assert torch.equal(changed, with_picture.unsure[0])


def test_it_cannot_do_without_regions() -> None:
    with pytest.raises(ValueError, match="region_size"):
        UAMNerNetwork(UAMNerConfig(), word_size=12, region_size=None, labels=LABELS)
