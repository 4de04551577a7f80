"""What some taggers can and others cannot, so that whoever uses one asks for the ability and not for a class."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from flair.data import Dictionary, Sentence
from torch import Tensor
from torch.utils.data import Dataset

from flair_espvr.embeddings.image.regions import ImageRegionEmbeddings
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.grounding.head import GroundingHead


@runtime_checkable
class ReadsImages(Protocol):
    """A tagger that may look at images; `region_embeddings` is None where it does not."""

    region_embeddings: ImageRegionEmbeddings | None

    def prefetch(self, sentences: Sequence[Sentence]) -> None:
        """Begin to read from disk, in the background, what these sentences will need."""


@runtime_checkable
class MapsEntities(Protocol):
    """A tagger whose `predict` takes `return_relevance`, for maps of where an image shows an entity."""

    grounding: GroundingHead | None
    """What knows; None where no images are read."""


@runtime_checkable
class Calibratable(Protocol):
    """A tagger whose scores can be made to say how often it is right."""

    def calibrate(self, sentences: list[Sentence] | Dataset[Sentence], mini_batch_size: int = 32) -> float:
        """Fit the scores to labelled posts that training has not seen."""


@runtime_checkable
class HasHyperparameters(Protocol):
    """A tagger that names the plain values it was built with."""

    config_class: ClassVar[type[ModelConfig]]
    config: ModelConfig

    def hyperparameters(self) -> dict[str, Any]:
        """Keyword arguments of the constructor."""


@runtime_checkable
class NamesLosses(Protocol):
    """A tagger whose loss has several terms."""

    last_losses: Mapping[str, Tensor]
    """Mean over the posts of the last training batch, by term, without weights."""


@runtime_checkable
class WeighsTypes(Protocol):
    """A tagger that lets training posts count more for the types in them."""

    label_dictionary: Dictionary
    type_weights: Mapping[str, float]
    """How much a training post with an entity of a type counts; 1 for types that are not named."""


@runtime_checkable
class ReadsContexts(Protocol):
    """Embeddings that read more of a post than its words."""

    contexts: Sequence[str]
    """Keys of the sentence's metadata, in the order in which they are read."""
