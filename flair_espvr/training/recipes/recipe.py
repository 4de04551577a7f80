"""A recipe: one experiment, checked as a whole before anything is loaded."""

import hashlib
import json
from typing import Annotated, Any

import yaml
from pydantic import Field, model_validator

from flair_espvr.training.recipes.sections import (
    DEFAULT_TYPES,
    ESPVR,
    CorpusSection,
    EmbeddingsSection,
    ModelSection,
    Regions,
    Section,
    TrainingSection,
)


class Experiment(Section):
    """Sections that each have a usual kind, so that `type` may be left out."""

    @model_validator(mode="before")
    @classmethod
    def _default_types(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        typed = {
            name: {"type": default, **content[name]}
            for name, default in DEFAULT_TYPES.items()
            if isinstance(content.get(name), dict)
        }
        return {**content, **typed}


class CorpusOnly(Experiment):
    """The corpus of a recipe, where nothing is trained."""

    corpus: CorpusSection


class Recipe(Experiment):
    """One experiment, with everything that decides its outcome; `load_recipe` reads one from a file."""

    corpus: CorpusSection
    embeddings: EmbeddingsSection
    regions: Regions | None = None
    model: ModelSection = ESPVR()
    training: TrainingSection
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2, 3)

    @model_validator(mode="after")
    def _pictures_are_wanted_and_given(self) -> "Recipe":
        wanted = isinstance(self.model, ESPVR) and self.model.regions != "none"
        if wanted and self.regions is None:
            raise ValueError(
                f"model.regions is {self.model.regions!r}, which needs a section regions (a backbone); "  # type: ignore[union-attr]
                "give one, or set model.regions to 'none'"
            )
        if not wanted and self.regions is not None:
            raise ValueError("a section regions, but the model reads no pictures: leave regions out")
        return self

    def to_yaml(self) -> str:
        """The recipe with every default written out and every path absolute, as a file that reads back the same."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def digest(self) -> str:
        """Eight hexadecimal digits that stand for the experiment, whatever its seeds and where it keeps its states.

        Defaults do not count, so that a setting which later versions add does not make another experiment of it.
        """
        elsewhere: Any = {"seeds": True, "training": {"resume": True}, "regions": {"store": True}}
        return digest(self.model_dump(mode="json", exclude=elsewhere, exclude_defaults=True))


def digest(content: Any) -> str:
    """Eight hexadecimal digits that stand for plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
