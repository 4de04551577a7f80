"""The hyperparameters of a model, in one place: its network, its files and its recipes read them here."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import Self

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NaturalNumber = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]
"""What a term of the loss counts."""

Share = Annotated[float, Field(ge=0, lt=1)]


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a name is given twice")
    return names


Names = Annotated[tuple[str, ...], AfterValidator(_distinct)]
"""Names of which no two are the same."""


def require_heads(hidden_size: int, num_heads: int, *, name: str = "hidden_size") -> None:
    """Make sure that attention can be split into its heads.

    Args:
        hidden_size: How wide it is.
        num_heads: How many heads it has.
        name: What the width is called.

    Raises:
        ValueError: If it cannot.
    """
    if hidden_size % num_heads:
        raise ValueError(f"{name}={hidden_size} is not a multiple of num_heads={num_heads}")


class ModelConfig(BaseModel):
    """Base of the configs: plain values that are checked, and do not change.

    A model's config names each hyperparameter once, with its type, its bounds and the paper's value as default. A
    docstring under a field says what it is. Keys that it does not know are errors.

    Attributes:
        meant_before: For a field that the first files did not have, the value that stands for what the model did then.
    """

    meant_before: ClassVar[Mapping[str, Any]] = {
        "grounding_weight": 1.0,
        "presence_weight": 1.0,
        "contrast_weight": 0.0,
    }

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True)

    grounding_weight: Weight = 1.0
    """What the term `"regions"` counts: which cells of the image show an entity, learned from gold regions."""

    presence_weight: Weight = 1.0
    """What the term `"presence"` counts: whether the image shows it, learned where gold labels say so."""

    contrast_weight: Weight = 0.0
    """What the term `"contrast"` counts: what entities of a type look like, learned from the images of a batch's posts
    where no label says where they are. With 0 it is not computed; otherwise a batch has to be seen at once."""

    @property
    def grounding_weights(self) -> Mapping[str, float]:
        """The weights of the grounding head's terms."""
        return {
            "regions": self.grounding_weight,
            "presence": self.presence_weight,
            "contrast": self.contrast_weight,
        }

    @property
    def reads_images(self) -> bool:
        """Whether a model with this config looks at images; text and contexts alone otherwise."""
        return True

    @property
    def reads_objects(self) -> bool:
        """Whether a model with this config reads the objects in images."""
        return False

    def without_images(self) -> Self:
        """Return the config of the same model where nothing gives it images.

        Raises:
            ValueError: If the model cannot do without; the default, unless it reads none.
        """
        if self.reads_images:
            raise ValueError("this model reads images: give it region_embeddings")
        return self


class ObjectLabelConfig(ModelConfig):
    """Base of the configs of models that read the labels of objects."""

    object_labels: Names = ()
    """The labels that have a vector of their own; a recipe that names none takes those of its training posts. All
    others share one."""

    most_objects: PositiveInt = 5
    """Objects of a post that are read, the surest first."""

    @property
    def reads_objects(self) -> bool:
        """Always."""
        return True
