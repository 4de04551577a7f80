"""A recipe: one experiment, checked as a whole before anything is loaded."""

import functools
import operator
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, Field, create_model, model_validator

from flair_espvr.models import DEFAULT_MODEL
from flair_espvr.models.registry import list_models, model_class
from flair_espvr.nn.config import ModelConfig
from flair_espvr.training.recipes.experiment import DEFAULT_SEEDS, NOT_OF_THE_EXPERIMENT, Experiment, digest
from flair_espvr.training.recipes.sections import (
    CorpusSection,
    EmbeddingsSection,
    Regions,
    SequenceTagger,
    TrainingSection,
)


class Recipe(Experiment):
    """One experiment, with everything that decides its outcome; `load_recipe` reads one from a file.

    Attributes:
        model: The config of a registered model, or Flair's `SequenceTagger`, each with its `type`; see `recipe_class`.
    """

    default_types: ClassVar[Mapping[str, str]] = {**Experiment.default_types, "model": DEFAULT_MODEL}

    corpus: CorpusSection
    embeddings: EmbeddingsSection
    regions: Regions | None = None
    model: BaseModel
    training: TrainingSection
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = DEFAULT_SEEDS

    @model_validator(mode="after")
    def _images_are_wanted_and_given(self) -> "Recipe":
        wanted = isinstance(self.model, ModelConfig) and self.model.reads_images
        if wanted and self.regions is None:
            raise ValueError(f"the model reads images, which needs a section regions (a backbone){self._way_out()}")
        if not wanted and self.regions is not None:
            raise ValueError("a section regions, but the model reads no pictures: leave regions out")
        return self

    def _way_out(self) -> str:
        """How the model of the recipe could do without images, if it can."""
        assert isinstance(self.model, ModelConfig)
        try:
            without = self.model.without_images().model_dump()
        except ValueError:
            return ""
        changes = [f"{name} to {value!r}" for name, value in without.items() if value != getattr(self.model, name)]
        return f"; give one, or set model.{', model.'.join(changes)}"

    def to_yaml(self) -> str:
        """Return the recipe with every default and with absolute paths, as a file that reads back the same."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def given(self) -> dict[str, Any]:
        """Return what decides the outcome and is no default, as plain values: not the seeds, nor where states are kept.

        Defaults do not count, so that a setting which later versions add does not make another experiment of it.
        """
        content = self.model_dump(mode="json", exclude=dict(NOT_OF_THE_EXPERIMENT), exclude_defaults=True)
        for name, default in self.default_types.items():
            kind = getattr(self, name).type
            if kind != default:  # which is no default here, although it is one of the section of that kind
                content[name] = {**content[name], "type": kind}
        return content

    def digest(self) -> str:
        """Eight hexadecimal digits that stand for the experiment, which is what was `given`."""
        return digest(self.given())


def recipe_class() -> type[Recipe]:
    """`Recipe` with a section for each model that is registered by now."""
    return _recipe_class(tuple(model_class(name) for name in list_models()), tuple(list_models()))


@functools.cache
def _recipe_class(models: tuple[Any, ...], names: tuple[str, ...]) -> type[Recipe]:
    sections: dict[str, Any] = {}
    for name, model in zip(names, models, strict=True):
        kind: Any = (Literal[name], name)
        sections[name] = create_model(name, __base__=model.config_class, type=kind)
    union = functools.reduce(operator.or_, (*sections.values(), SequenceTagger))
    section: Any = (Annotated[union, Field(discriminator="type")], sections[DEFAULT_MODEL]())
    return create_model("Recipe", __base__=Recipe, model=section)
