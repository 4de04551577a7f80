"""A recipe: one experiment as one YAML file, checked as a whole before anything is loaded."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from flair_espvr.errors import ConfigurationError

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class CorpusSection(Section):
    """Arguments of `MultimodalCorpus`; in a file, paths are relative to the file's folder."""

    folder: Path
    images: Path | None = None
    captions: Path | None = None
    label_type: str = "ner"
    label_name_map: dict[str, str] | None = None

    @field_validator("folder", "images", "captions")
    @classmethod
    def _beside_the_recipe(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        return path if path is None or info.context is None else Path(info.context["folder"]) / path


class EmbeddingsSection(Section):
    """Arguments of `CaptionedTransformerEmbeddings`; `package:NAME/PATH` names a model inside a Python package."""

    model: str
    use_caption: bool = True
    max_caption_tokens: PositiveInt | None = None


class RegionsSection(Section):
    """Arguments of `ImageRegionEmbeddings`; `checkpoint` may be `package:NAME/PATH`, a file in a Python package."""

    model: str
    image_size: PositiveInt | None = None
    checkpoint: str | None = None
    store: Path | None = None


class ModelSection(Section):
    """Arguments of `ESPVRTagger`."""

    type: Literal["espvr"] = "espvr"
    regions: Literal["positioned", "all", "none"] = "positioned"
    positioning: Literal["straight_through", "hard"] = "straight_through"
    positioning_spans: Literal["predicted", "gold"] = "predicted"
    window: PositiveInt = 8
    hidden_size: PositiveInt = 512
    num_heads: PositiveInt = 8
    num_layers: Annotated[int, Field(ge=0)] = 4
    dropout: Share = 0.4
    span_loss_weight: Annotated[float, Field(ge=0)] = 0.08


class TrainingSection(Section):
    """Arguments of Flair's `ModelTrainer.fine_tune`."""

    learning_rate: PositiveFloat
    decoder_learning_rate: PositiveFloat | None = None
    mini_batch_size: PositiveInt = 32
    max_epochs: PositiveInt = 10


class Recipe(Section):
    """One experiment, with everything that decides its outcome."""

    corpus: CorpusSection
    embeddings: EmbeddingsSection
    regions: RegionsSection | None = None
    model: ModelSection = ModelSection()
    training: TrainingSection
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2, 3)


def load_recipe(path: str | Path) -> Recipe:
    """Reads and checks a recipe.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigurationError: it is no YAML, or does not fit; the message lists every mistake with its dotted path.
    """
    path = Path(path)
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not YAML: {error}") from error
    try:
        return Recipe.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        mistakes = [_mistake(detail) for detail in error.errors()]
        raise ConfigurationError(
            "\n  ".join([f"{path}: {len(mistakes)} mistakes in this recipe:", *mistakes])
        ) from None


def _mistake(detail: Any) -> str:
    place = ".".join(map(str, detail["loc"])) or "the recipe"
    return f"{place}: {detail['msg'][0].lower()}{detail['msg'][1:]}, given {detail['input']!r:.60}"
