"""A tagger as files: what state it has, how it is saved, loaded, exported and published."""

import inspect
from pathlib import Path
from typing import Any, ClassVar

from flair.data import Dictionary, Sentence
from flair.embeddings import TokenEmbeddings
from flair.nn import Classifier
from typing_extensions import Self

from flair_espvr.embeddings.image.regions import ImageRegionEmbeddings
from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.models.bio_tags import BioTags
from flair_espvr.models.files.checkpoint import (
    check_format,
    damage_explained,
    from_plain,
    marked,
    plain_card,
    read_checkpoint,
    write_checkpoint,
)
from flair_espvr.models.files.embedding_state import rebuild
from flair_espvr.models.files.export import push, read_pretrained, write_pretrained
from flair_espvr.models.files.model_card import ModelFacts
from flair_espvr.models.registry import model_of_class
from flair_espvr.nn.allowance import Allowance
from flair_espvr.nn.config import ModelConfig


class StoredTagger(Classifier[Sentence]):
    """The half of `MultimodalTagger` that reads and writes files.

    A file holds plain values only: words embeddings by their parameters, image backbones by name and fingerprint, the
    label dictionary, the constructor's plain arguments and the weights.
    """

    config_class: ClassVar[type[ModelConfig]]
    embeddings: TokenEmbeddings
    label_dictionary: Dictionary
    region_embeddings: ImageRegionEmbeddings | None
    tags: BioTags

    def hyperparameters(self) -> dict[str, Any]:
        """Return the plain keyword arguments that build this model again, besides embeddings, labels and images."""
        raise NotImplementedError

    def save(self, model_file: str | Path, checkpoint: bool = False, *, include_backbone: bool = False) -> None:
        """Write the model file, atomically; see `flair_espvr.models.files.checkpoint` for what it may hold.

        Args:
            model_file: Where to.
            checkpoint: Flair's; unused there too.
            include_backbone: Also keep the frozen image backbone, which is otherwise named and fingerprinted only.

        Raises:
            ConfigurationError: `include_backbone` without `region_embeddings`.
        """
        write_checkpoint(model_file, self._file_state(include_backbone=include_backbone))

    @classmethod
    def load(cls, model_path: str | Path | dict[str, Any]) -> Self:
        """Read a model file without running code in it.

        `MultimodalTagger.load` gives whichever registered model the file holds; a model's own class insists on it.

        Args:
            model_path: A file that `save` wrote, or its state as Flair's loader hands it over.

        Raises:
            FileNotFoundError: There is no such file.
            UnsafeModelError: The file hides code, is damaged, is not ours, is of a newer format, of another class, or
                of a model that no installed package registers.
        """
        if isinstance(model_path, dict):
            state, source = model_path, "the given state"
            check_format(state, source)
        else:
            state, source = read_checkpoint(model_path), str(model_path)
        kind = cls._class_of(state, source)
        if kind is not cls:
            return kind.load(state)
        with damage_explained():
            return super().load(state)

    @classmethod
    def _class_of(cls, state: dict[str, Any], source: str) -> type[Self]:
        """Return the class that a state is of, which has to be this one or, for an abstract class, a model below it."""
        name = state.get("__cls__", cls.__name__)
        if not isinstance(name, str):
            raise UnsafeModelError(f"{source}: is damaged: its class has no name")
        if not inspect.isabstract(cls):
            if name != cls.__name__:
                raise UnsafeModelError(f"{source}: holds a {name!r:.60}, not a {cls.__name__}; load it with that class")
            return cls
        kind = model_of_class(name)
        if kind is None or not issubclass(kind, cls):
            raise UnsafeModelError(
                f"{source}: holds a {name!r:.60}, which no installed package registers as a model; install the package "
                "that it is from"
            )
        return kind

    def save_pretrained(self, folder: str | Path, *, include_backbone: bool = False) -> None:
        """Export the tagger as safetensors and JSON, atomically as a whole; see `flair_espvr.models.files.export`."""
        write_pretrained(folder, self._file_state(include_backbone=include_backbone))

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, **hub_arguments: Any) -> Self:
        """Load an export from a folder or the hub (`org/name`) without running code; see `read_pretrained`."""
        return cls.load(read_pretrained(name, revision=revision, **hub_arguments))

    def push_to_hub(
        self, repo: str, *, facts: ModelFacts | None = None, include_backbone: bool = False, **hub_arguments: Any
    ) -> str:
        """Publish the tagger with its model card and return the commit's address; see `push`."""
        state = self._file_state(include_backbone=include_backbone)
        return push(state, repo, facts=facts, types=self.tags.types, **hub_arguments)

    def _file_state(self, *, include_backbone: bool) -> dict[str, Any]:
        """All that a model's files hold."""
        state = self._get_state_dict()
        if not include_backbone:
            return state
        if self.region_embeddings is None:
            raise ConfigurationError("include_backbone: this tagger reads no pictures, so it has no backbone")
        return {**state, "backbone": self.region_embeddings.backbone_state()}

    def _get_state_dict(self) -> dict[str, Any]:
        state = {
            **super()._get_state_dict(),
            "embeddings": self.embeddings.save_embeddings(use_state_dict=False),
            "label_dictionary": self.label_dictionary,
            "label_type": self.label_type,
            "hyperparameters": self.hyperparameters(),
        }
        if self.region_embeddings is not None:
            state["region_embeddings"] = self.region_embeddings.save_embeddings(use_state_dict=False)
        if self.model_card is not None:
            state["model_card"] = plain_card(self.model_card)
        return marked(state)  # here, not in `save`: Flair's containers ask for the state and write it themselves

    @classmethod
    def _init_model_with_state_dict(cls, state: dict[str, Any], **kwargs: Any) -> Self:
        with Allowance.for_weights(state["state_dict"].values()):
            region_embeddings = None
            if state.get("region_embeddings"):
                region_embeddings = rebuild(from_plain(state["region_embeddings"]))
                if "backbone" in state:
                    region_embeddings.load_backbone_state(state["backbone"])
            model = super()._init_model_with_state_dict(
                state,
                embeddings=rebuild(from_plain(state["embeddings"])),
                label_dictionary=from_plain(state["label_dictionary"]),
                label_type=str(state["label_type"]),
                region_embeddings=region_embeddings,
                **{**cls.config_class.meant_before, **state["hyperparameters"]},
                **kwargs,
            )
        own = model.state_dict()
        for name, tensor in state["state_dict"].items():
            real = tensor.is_floating_point() or name not in own or not own[name].is_floating_point()
            # One value that is not finite makes the sum so; the sum alone takes no memory, and may overflow.
            if not real or not (tensor.sum().isfinite() or tensor.isfinite().all()):
                raise UnsafeModelError(f"the model file is damaged: its weight {name!r:.100} is not finite numbers")
        return model
