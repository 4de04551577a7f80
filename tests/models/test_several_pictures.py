"""Posts with several pictures, through every model: against the same posts with one, alone and in other orders."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from flair.data import Sentence
from torch import Tensor

from flair_espvr import MultimodalTagger, PictureObject, Region, list_models
from flair_espvr.nn import Spans
from flair_espvr.nn.grounding.head import Learned

Build = Callable[..., MultimodalTagger]

PERSON = PictureObject("person", 0.9, (0.0, 0.0, 0.5, 1.0))
BROKEN = b"no picture"


def post(*images: object, objects: tuple[PictureObject, ...] = (PERSON,)) -> Sentence:
    sentence = Sentence(["mary", "jane", "is", "in", "oakland", "now"])
    sentence.add_metadata("objects", list(objects))
    if images:
        sentence.add_metadata("image", list(images) if len(images) > 1 else images[0])
    for start, end, type_ in ((0, 2, "PER"), (4, 5, "LOC")):
        sentence[start:end].add_label("ner", type_)
    return sentence


def emissions(tagger: MultimodalTagger, posts: list[Sentence]) -> Tensor:
    with torch.no_grad():
        return tagger.forward(posts)[0].emissions


def places(tagger: MultimodalTagger, sentence: Sentence) -> list[Region]:
    """Where its two entities are, whether or not it would be answered."""
    start, end = torch.tensor([[0, 4]]), torch.tensor([[2, 5]])
    spans = Spans(start, end, torch.zeros_like(start), torch.ones_like(start, dtype=torch.bool))
    with torch.no_grad():
        inputs = tagger.network_inputs([sentence], keep_embeddings=False, tags=None)
        found = tagger._grounding(inputs, tagger.network(**inputs), spans)
    assert found is not None
    rows = zip(found.places[0].tolist(), found.score[0].tolist(), found.image[0].tolist(), strict=True)
    return [Region(*place, score, image) for place, score, image in rows]


@pytest.mark.parametrize("name", list_models())
def test_pictures_are_read_together(name: str, build: Build, pictures: list[Path]) -> None:
    tagger = build(name).eval()
    if tagger.region_embeddings is None:
        pytest.skip("looks at no picture")
    first, second, third = pictures[:3]
    assert tagger.grounding is not None
    tagger.grounding.learned = Learned.BOXES

    if name == "espvr":
        tagger.network.span_emissions.bias.data[1] += 2.0  # there are entities to position a window by

    one = emissions(tagger, [post(first)])
    assert torch.equal(one, emissions(tagger, [post(first, BROKEN)]))  # as narrow a batch, to the last bit
    several = [post(first), post(first, second, third), post(BROKEN, second, objects=()), post(), post(BROKEN, BROKEN)]
    together = emissions(tagger, several)
    for row, sentence in enumerate(several):
        torch.testing.assert_close(together[row], emissions(tagger, [sentence])[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[2], emissions(tagger, [post(second, objects=())])[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[3], together[4], rtol=1e-4, atol=1e-5)
    assert [sorted(sentence.get_metadata("image_error")) for sentence in (several[2], several[4])] == [[0], [0, 1]]
    assert not torch.allclose(together[0], together[1], rtol=1e-4, atol=1e-5)

    turned = emissions(tagger, [post(second, third, first, objects=(replace(PERSON, image=2),)), post(first)])
    torch.testing.assert_close(turned[0], together[1], rtol=1e-4, atol=1e-5)
    moved = post(second, first, objects=(replace(PERSON, image=1),))
    for found, expected in zip(places(tagger, moved), places(tagger, post(first, second)), strict=True):
        assert found.image == 1 - expected.image
        assert list(found.to_json().values())[:5] == pytest.approx(list(expected.to_json().values())[:5], abs=1e-3)


@pytest.mark.parametrize("name", list_models())
def test_gold_regions_on_another_picture_are_learned_from(name: str, build: Build, pictures: list[Path]) -> None:
    tagger = build(name).train()
    if tagger.grounding is None:
        pytest.skip("looks at no picture")
    posts = [post(pictures[0], pictures[1]), post(pictures[2]), post(BROKEN, pictures[3]), post()]
    on_second = [((Region(0, 0, 0.5, 1, image=1),), ()), ((), ()), ((Region(0, 0, 1, 1),), ()), ((), ())]
    for sentence, known in zip(posts, on_second, strict=True):
        for span, regions in zip(sentence.get_spans("ner"), known, strict=True):
            span.get_label("ner").metadata["regions"] = regions
    loss, _ = tagger.forward_loss(posts)
    loss.backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in tagger.parameters())
    assert tagger.grounding.learned
    assert float(tagger.last_losses["regions"]) > 0
