"""The folder of one run: which file is what, and when the run is done."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flair_espvr.errors import ConfigurationError, EspvrError
from flair_espvr.evaluation.counts_file import read_counts, write_counts
from flair_espvr.evaluation.grounding import GroundingScores, PlaceScores, PresenceScores
from flair_espvr.evaluation.predictions_file import read_predictions, write_predictions
from flair_espvr.evaluation.scores import Score, Scores
from flair_espvr.evaluation.significance import PostCounts, post_counts
from flair_espvr.io.atomic import write_text
from flair_espvr.io.locks import LockedError, ProcessLock

if TYPE_CHECKING:
    from flair_espvr.evaluation.evaluate import Evaluation
    from flair_espvr.training.recipes.recipe import Recipe

TEST = "test"
"""Name of the evaluation on the recipe's own test posts."""

_SPAN_SCORES = ("mner", "eeg", "gmner")


class RunIsLockedError(EspvrError):
    """Another process is making this run."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run, `RUNS/<name>-<digest>/seed-<n>`: another recipe, even under the same name, is another folder."""

    path: Path

    @classmethod
    def of(cls, runs: Path, name: str, recipe: "Recipe", seed: int) -> "RunFolder":
        """Where the run of a recipe of this name belongs, under the folder of all runs."""
        return cls(runs / f"{name}-{recipe.digest()}" / f"seed-{seed}")

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return self.path.parent.parent

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def given(self) -> Path:
        """What the recipe says beside defaults, see `Recipe.given`."""
        return self.path / "given.json"

    @property
    def environment(self) -> Path:
        """Versions, revision, data hashes."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """Flair's log lines."""
        return self.path / "training.log"

    @property
    def losses(self) -> Path:
        """Flair's table of losses and dev scores by epoch."""
        return self.path / "loss.tsv"

    @property
    def curves(self) -> Path:
        """A picture of `losses`."""
        return self.path / "curves.png"

    @property
    def confusion(self) -> Path:
        """A picture of the types that the model confuses on the test posts."""
        return self.path / "confusion.png"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model.pt"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of this run for the block; the lock ends with the process, however it ends.

        Raises:
            RunIsLockedError: another process is at it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            lock = ProcessLock(self.path / ".lock")
        except LockedError:
            raise RunIsLockedError(f"{self.path}: another process is making this run") from None
        with lock:
            yield

    def predictions(self, evaluation: str = TEST) -> Path:
        """Gold and predicted entities of an evaluation."""
        return self.path / f"{evaluation}.jsonl"

    def counts(self, evaluation: str = TEST) -> Path:
        """How many entities of each post were right in an evaluation, and nothing of the posts."""
        return self.path / f"{evaluation}.counts.csv"

    def scores(self, evaluation: str = TEST) -> Path:
        """Scores of an evaluation, written after its predictions."""
        return self.path / ("scores.json" if evaluation == TEST else f"{evaluation}.scores.json")

    def is_done(self, evaluation: str = TEST) -> bool:
        """Whether this evaluation was made, and written whole."""
        return self.scores(evaluation).is_file()

    def write_evaluation(self, result: "Evaluation", evaluation: str = TEST, **notes: Any) -> None:
        """Keep predictions, counts and scores; the scores come last, and say that all is there.

        Args:
            result: what was found.
            evaluation: its name.
            notes: more plain values for the file of scores.
        """
        write_predictions(self.predictions(evaluation), result.gold, result.predicted, result.posts)
        write_counts(self.counts(evaluation), post_counts(result.gold, result.predicted))
        content = {**notes, "lenient": scores_to_plain(result.lenient), "strict": scores_to_plain(result.strict)}
        if result.grounding:
            content["grounding"] = {name: grounding_to_plain(scores) for name, scores in result.grounding.items()}
        write_text(self.scores(evaluation), json.dumps(content, indent=1, ensure_ascii=False))

    def read_scores(self, evaluation: str = TEST) -> dict[str, Any]:
        """Return what `write_evaluation` kept, with `lenient` and `strict` as `Scores`.

        `grounding` are `GroundingScores` by reading, none where no gold region was known.

        Raises:
            ConfigurationError: the file is damaged.
        """
        path = self.scores(evaluation)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            scores = {reading: scores_from_plain(content[reading]) for reading in ("lenient", "strict")}
            grounding = {name: grounding_from_plain(one) for name, one in content.get("grounding", {}).items()}
            return {**content, **scores, "grounding": grounding}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{path}: not the scores of a run ({error}); remove the file to have it made again"
            ) from error

    def read_counts(self, evaluation: str = TEST) -> PostCounts:
        """Return the counts of each post, those of a run that kept none, as earlier versions did, from its predictions.

        Raises:
            OSError: there are neither.
            PostFormatError: a line is damaged.
        """
        if self.counts(evaluation).is_file():
            return read_counts(self.counts(evaluation))
        return post_counts(*read_predictions(self.predictions(evaluation)))


def scores_to_plain(scores: Scores) -> dict[str, Any]:
    """Return counts by type, from which every figure follows."""
    return {
        "types": {name: score._asdict() for name, score in scores.types.items()},
        "sentences": scores.sentences,
        "reading": scores.reading,
        "edition": scores.edition,
    }


def scores_from_plain(content: dict[str, Any]) -> Scores:
    """Return the inverse of `scores_to_plain`."""
    return Scores(**{**content, "types": {name: Score(**counts) for name, counts in content["types"].items()}})


def grounding_to_plain(scores: GroundingScores) -> dict[str, Any]:
    """Return counts and shares, from which every figure follows."""
    return {
        **{name: getattr(scores, name)._asdict() for name in _SPAN_SCORES},
        "types": {name: score._asdict() for name, score in scores.types.items()},
        "places": scores.places._asdict(),
        "presence": {**scores.presence.score._asdict(), "average_precision": scores.presence.average_precision},
        "posts": scores.posts,
        "reading": scores.reading,
    }


def grounding_from_plain(content: dict[str, Any]) -> GroundingScores:
    """Return the inverse of `grounding_to_plain`."""
    presence = dict(content["presence"])
    precision = presence.pop("average_precision")
    return GroundingScores(
        **{
            **content,
            **{name: Score(**content[name]) for name in _SPAN_SCORES},
            "types": {name: Score(**counts) for name, counts in content["types"].items()},
            "places": PlaceScores(**content["places"]),
            "presence": PresenceScores(Score(**presence), precision),
        }
    )
