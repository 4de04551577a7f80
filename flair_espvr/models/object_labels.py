"""Taggers that read the labels of the objects in a post's image."""

from typing import Any

from flair.data import Sentence
from torch import Tensor

from flair_espvr.data.object_labels import ObjectLabels, sentence_objects
from flair_espvr.embeddings.image.objects import object_features
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.nn.config import ObjectLabelConfig


class ObjectLabelTagger(MultimodalTagger):
    """Base of the models whose config is an `ObjectLabelConfig`: their network reads labels and boxes of objects."""

    config: ObjectLabelConfig

    def network_inputs(
        self, sentences: list[Sentence], *, keep_embeddings: bool, tags: Tensor | None
    ) -> dict[str, Any]:
        """Return what `MultimodalTagger` gives, and the `objects` of the batch."""
        chosen = [sentence_objects(sentence, most=self.config.most_objects) for sentence in sentences]
        objects = object_features(sentences, chosen, ObjectLabels(self.config.object_labels))
        inputs = super().network_inputs(sentences, keep_embeddings=keep_embeddings, tags=tags)
        return {**inputs, "objects": objects}
