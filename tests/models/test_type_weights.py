"""Posts that count more: a batch's loss against those of its posts one by one."""

from collections.abc import Callable

import pytest
import torch
from flair.data import Sentence

from flair_espvr import ESPVRTagger


@pytest.mark.parametrize("model", ["espvr", "umt"])
def test_a_post_counts_as_much_as_its_weightiest_type(
    build: Callable[..., ESPVRTagger], posts: list[Sentence], model: str
) -> None:
    tagger = build(model).eval()
    weights = {"PER": 0.5, "LOC": 3.0}
    types = [{label.value for label in post.get_labels("ner")} for post in posts]
    assert {"PER", "LOC"} in types
    assert set() in types
    alone = [tagger.forward_loss([post])[0] for post in posts]
    expected = sum(
        loss * max((weights[type_] for type_ in found), default=1.0) for loss, found in zip(alone, types, strict=True)
    )
    tagger.type_weights = weights
    torch.testing.assert_close(tagger.forward_loss(posts)[0], expected, rtol=1e-4, atol=1e-4)
