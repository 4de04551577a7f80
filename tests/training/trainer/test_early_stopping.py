"""Trainings that end early: where they should, and at the same place after a kill."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flair.data import Corpus, Sentence
from flair.trainers import ModelTrainer

from flair_espvr import ESPVRTagger
from flair_espvr.errors import ConfigurationError
from flair_espvr.training.trainer.early_stopping import EarlyStopping
from flair_espvr.training.trainer.resume import ResumableTrainer

SCORES = [0.3, 0.5, 0.4, 0.45, 0.9, 0.1, 0.2]


def epochs(folder: Path) -> list[str]:
    return [line.split("\t")[0] for line in (folder / "loss.tsv").read_text().splitlines()[1:]]


@pytest.fixture
def train(
    build: Callable[..., ESPVRTagger], corpus: Corpus[Sentence], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Trains seven epochs at most, whose dev scores are `SCORES`."""

    def run(kind: type[ModelTrainer], folder: Path, *, begin: int = 0, patience: int = 2, kill_after: int = 7) -> None:
        scores = iter(SCORES[begin:])
        evaluate = ESPVRTagger.evaluate

        def scored(self: ESPVRTagger, *arguments: Any, **options: Any) -> Any:
            result = evaluate(self, *arguments, **options)
            result.main_score = next(scores) if options["out_path"].name == "dev.tsv" else 0.0
            if result.main_score == SCORES[kill_after - 1 : kill_after][0]:
                raise KeyboardInterrupt if kill_after < 7 else AssertionError("not stopped")
            return result

        monkeypatch.setattr(ESPVRTagger, "evaluate", scored)
        tagger = build(region_embeddings=None, regions="none")
        settings: dict[str, Any] = {"embeddings_storage_mode": "none", "plugins": [EarlyStopping(patience)]}
        kind(tagger, corpus).fine_tune(folder, max_epochs=7, use_final_model_for_eval=False, **settings)
        monkeypatch.setattr(ESPVRTagger, "evaluate", evaluate)

    return run


@pytest.mark.parametrize("kind", [ModelTrainer, ResumableTrainer])
def test_training_ends_after_epochs_without_a_better_one(
    train: Callable[..., None], tmp_path: Path, kind: type[ModelTrainer]
) -> None:
    train(kind, tmp_path)
    assert epochs(tmp_path) == ["1", "2", "3", "4"]
    assert ESPVRTagger.load(tmp_path / "best-model.pt").model_card["training_parameters"]["epoch"] == 2


def test_a_resumed_training_has_counted_on(train: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(ResumableTrainer, tmp_path, kill_after=4)
    train(ResumableTrainer, tmp_path, begin=3)
    assert epochs(tmp_path) == ["1", "2", "3", "4"]


def test_a_patience_of_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="should be 1 or more"):
        EarlyStopping(0)
