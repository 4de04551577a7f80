"""UMGF as a Flair model (Zhang et al., AAAI 2021)."""

from typing import Any, ClassVar

from flair.data import Sentence
from torch import Tensor

from flair_espvr.data.object_labels import ObjectLabels, one_of_each
from flair_espvr.embeddings.image.objects import object_features
from flair_espvr.models.registry import register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.networks.umgf import UMGFConfig, UMGFNetwork


@register_model("umgf")
class UMGFTagger(MultimodalTagger):
    """Tags entities from a graph of words and of the crops that a detector found for the names of the types.

    Objects count whose label is one of the config's `type_words`, the surest of each; the whole image stands for a
    type without one. Hyperparameters are those of `UMGFConfig`. It says where entities are once it has learned from
    boxes.
    """

    config_class: ClassVar[type[ModelConfig]] = UMGFConfig
    network_class = UMGFNetwork
    config: UMGFConfig

    def network_inputs(
        self, sentences: list[Sentence], *, keep_embeddings: bool, tags: Tensor | None
    ) -> dict[str, Any]:
        """Return what `MultimodalTagger` gives, and as `objects` one crop for each type word, where there is one."""
        words = self.config.type_words
        chosen = [one_of_each(sentence, words) for sentence in sentences]
        objects = object_features(sentences, chosen, ObjectLabels(words), crops_by=self.region_embeddings)
        inputs = super().network_inputs(sentences, keep_embeddings=keep_embeddings, tags=tags)
        return {**inputs, "objects": objects}
