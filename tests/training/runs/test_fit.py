"""What a recipe's section of training turns on for the time of a training."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from flair.trainers.plugins import TrainerPlugin

from flair_espvr import ESPVRTagger
from flair_espvr.data import MultimodalCorpus
from flair_espvr.training.recipes.sections import FineTune
from flair_espvr.training.runs.run import fit


class Watching(TrainerPlugin):
    """Notes torch's precision of matrix products before every batch; after so many it ends the training."""

    def __init__(self, *, kill_after: int | None = None) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.kill_after = kill_after

    @TrainerPlugin.hook
    def before_training_batch(self, **_: object) -> None:
        self.seen.append(torch.get_float32_matmul_precision())
        if len(self.seen) == self.kill_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("given", "expected"), [({}, "highest"), ({"matmul_precision": "medium"}, "medium")])
def test_matrix_products_are_as_exact_as_the_recipe_says(
    build: Callable[..., ESPVRTagger], corpus: MultimodalCorpus, tmp_path: Path, given: dict[str, str], expected: str
) -> None:
    tagger = build(region_embeddings=None, regions="none")
    watching = Watching()
    fit(tagger, corpus, FineTune(learning_rate=1e-3, max_epochs=1, **given), tmp_path, plugins=[watching])
    assert set(watching.seen) == {expected}
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_training_that_was_killed_leaves_them_as_they_were(
    build: Callable[..., ESPVRTagger], corpus: MultimodalCorpus, tmp_path: Path
) -> None:
    tagger = build(region_embeddings=None, regions="none")
    section = FineTune(learning_rate=1e-3, max_epochs=1, matmul_precision="medium")
    with pytest.raises(KeyboardInterrupt):
        fit(tagger, corpus, section, tmp_path, plugins=[Watching(kill_after=1)])
    assert torch.get_float32_matmul_precision() == "highest"
