"""A tagger that says where: its head, what it learns from gold regions, and what it answers."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import flair
import torch
from flair.data import Sentence
from torch import Tensor
from typing_extensions import Self

from flair_espvr.models.gold_regions import gold_regions
from flair_espvr.models.stored_tagger import StoredTagger
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.grounding.fitting import KnownPlaces, fit_calibration
from flair_espvr.nn.grounding.head import GroundingHead, Learned
from flair_espvr.nn.grounding.reading import Evidence, Grounding
from flair_espvr.nn.grounding.tensors import Mentions
from flair_espvr.nn.layers.spans import Spans
from flair_espvr.nn.network import NetworkOutput

log = logging.getLogger("flair.espvr.models")


class GroundedTagger(StoredTagger):
    """The half of `MultimodalTagger` that knows where images show entities.

    Attributes:
        grounding: The head; None without images.
    """

    config: ModelConfig
    network: Any
    grounding: GroundingHead | None

    @classmethod
    def _init_model_with_state_dict(cls, state: dict[str, Any], **kwargs: Any) -> Self:
        model = super()._init_model_with_state_dict(state, **kwargs)
        if model.grounding is not None and not any(name.startswith("grounding.") for name in state["state_dict"]):
            # The file is older than the head, and loading draws no weights.
            model.grounding = model._grounding_head()
            model.to(flair.device)
        return model

    def _grounding_head(self) -> GroundingHead | None:
        """Return a new head, whose weights take no random number from what learns without boxes."""
        if self.region_embeddings is None:
            return None
        with torch.random.fork_rng(devices=[]):
            return GroundingHead(
                word_size=self.embeddings.embedding_length,
                region_size=self.region_embeddings.embedding_length,
                labels=len(self.tags.names),
            )

    def _grounding_losses(
        self, sentences: Sequence[Sentence], inputs: Mapping[str, Any], output: NetworkOutput, tags: Tensor
    ) -> Mapping[str, Tensor]:
        """Return the terms that gold regions give, and that of contrast for posts without any, if it is to be learned.

        None where there is neither.
        """
        images = inputs["images"]
        if self.grounding is None or images is None:
            return {}
        gold = gold_regions(sentences, self.label_type)
        losses: dict[str, Tensor] = {}
        if gold is not None:
            losses |= self.grounding.losses(self._mentions(inputs, output, gold.spans), images, gold)
            losses |= self.network.place_losses(output, images, gold)
        if self.config.contrast_weight:
            entities = self.network.spans_of(tags, inputs["mask"])
            contrast = self.grounding.contrast(self._mentions(inputs, output, entities), images, entities)
            losses["contrast"] = contrast if gold is None else contrast.masked_fill(gold.spans.mask.any(dim=1), 0.0)
        return losses

    def _grounding(self, inputs: Mapping[str, Any], output: NetworkOutput, spans: Spans) -> Grounding | None:
        """Where M entities of B posts are; None where no post has an image, or nothing is known of where."""
        images = inputs["images"]
        if self.grounding is None or images is None:
            return None
        return self.grounding.answer(self._mentions(inputs, output, spans), images)

    def _mentions(self, inputs: Mapping[str, Any], output: NetworkOutput, spans: Spans) -> Mentions:
        """Entities as the head reads them; one that has learned reads no map of the network's."""
        assert self.grounding is not None
        mentions: Mentions = self.network.mentions(
            inputs["words"], output, spans, with_map=self.grounding.learned is Learned.NOTHING
        )
        return mentions

    def _known_places(
        self, sentences: Sequence[Sentence], inputs: Mapping[str, Any], output: NetworkOutput
    ) -> list[KnownPlaces]:
        """Return what speaks for the places of those entities whose places are known."""
        images, gold = inputs["images"], gold_regions(sentences, self.label_type)
        if self.grounding is None or images is None or gold is None:
            return []
        evidence = self.grounding.evidence(self._mentions(inputs, output, gold.spans), images)
        if evidence is None:
            return []
        known = gold.known(images.slots)
        presence, several = (None if field is None else field[known] for field in (evidence.presence, evidence.several))
        read = Evidence(evidence.logits[known], presence, evidence.grid, several)
        readable = gold.on(images.slots).any(dim=2)[known]
        return [KnownPlaces(read, gold.boxes[known], readable, None if gold.images is None else gold.images[known])]

    def _calibrate_grounding(self, known: Sequence[KnownPlaces]) -> None:
        if self.grounding is None or not any(len(part.mask) for part in known):
            return
        self.grounding.calibration = fit_calibration(known)
        log.info(
            "Regions, fitted to %d entities: %s", sum(len(part.mask) for part in known), self.grounding.calibration
        )

    def _total_loss(self, losses: Mapping[str, Tensor], posts: int) -> Tensor:
        """Return the weighted sum over terms and posts, ()."""
        weights = self.config.grounding_weights
        weighted = {name: weights[name] * term if name in weights else term for name, term in losses.items()}
        total: Tensor = self.network.total_loss(weighted, posts)
        return total
