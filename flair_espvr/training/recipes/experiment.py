"""What recipes share with those who read a part of them: it needs no model, and so neither torch nor Flair."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from flair_espvr.training.recipes.sections import CorpusSection, Section

DEFAULT_SEEDS = (1, 2, 3)
"""The seeds of a recipe that names none."""

NOT_OF_THE_EXPERIMENT: Mapping[str, Any] = {"seeds": True, "training": {"resume": True}, "regions": {"store": True}}
"""Settings that make no other experiment of a recipe, which say how often it is run and where its states are kept."""


class Experiment(Section):
    """Sections that each have a usual kind, so that `type` may be left out.

    Attributes:
        default_types: what a section is where it does not say its `type`.
    """

    default_types: ClassVar[Mapping[str, str]] = {
        "corpus": "columns",
        "embeddings": "captioned_transformer",
        "training": "fine_tune",
    }

    @model_validator(mode="before")
    @classmethod
    def _default_types(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        typed = {
            name: {"type": default, **content[name]}
            for name, default in cls.default_types.items()
            if isinstance(content.get(name), dict)
        }
        return {**content, **typed}


class CorpusOnly(Experiment):
    """The corpus of a recipe, where nothing is trained."""

    corpus: CorpusSection


def digest(content: Any) -> str:
    """Eight hexadecimal digits that stand for plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
