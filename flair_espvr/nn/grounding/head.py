"""Where in the image an entity is, and whether it is there at all: the head that every model with regions has."""

import math
from dataclasses import replace
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import softplus

from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.grounding.calibration import GroundingCalibration
from flair_espvr.nn.grounding.cells import ImageCells, normed
from flair_espvr.nn.grounding.reading import Evidence, Grounding, read_evidence
from flair_espvr.nn.grounding.tensors import GoldRegions, Mentions
from flair_espvr.nn.layers.positioning import first_maximum
from flair_espvr.nn.layers.several_images import mean_over_images
from flair_espvr.nn.layers.spans import Spans
from flair_espvr.nn.layers.word_dropout import WordDropout

_SIZE = 64
"""D, width of the space in which entities and regions are compared."""

_PRESENCE_SIZE = 256
"""Width of the hidden layer that tells presence."""

_DROPOUT = 0.5
"""Of numbers of an entity's vector, of whole such vectors, and of what tells presence: names are so many that their
images can be learned by heart."""


class Learned(IntEnum):
    """What a head has learned from: the places that labels name, or else the images of other posts."""

    NOTHING = 0
    BOXES = 1
    CONTRAST = 2


class GroundingHead(torch.nn.Module):
    """A comparison of an entity with the cells of the image, and a classifier of its presence.

    Of several images of a post each is read by itself.

    Region r is part of what entity e names with the logit z_r = (W_e e + W_c c + w) . h_r / sqrt(D), with layer-normed
    e, c how probable the tags are at its first word (a name may not say what to look for, where its type does; in a
    layer with the words', the few numbers of c would weigh little), and h_r of `ImageCells`. In training half of the
    entities have to do without e.
    Presence is read from e, the region with the largest z, the maximum and the mean of z, and c; where no label has
    told of places, from the mean of z alone, log mean exp z.
    Gradients stay in the head: what it learns changes no tag.

    Args:
        word_size: De.
        region_size: Dv.
        labels: L.

    Attributes:
        learned: What from; after nothing, the network's own map is read, where it has one.
        calibration: How logits are read.
    """

    def __init__(self, *, word_size: int, region_size: int, labels: int) -> None:
        super().__init__()
        self.learned = Learned.NOTHING
        self.calibration = GroundingCalibration()
        self.entity_norm = torch.nn.LayerNorm(word_size)
        self.entity_dropout = WordDropout(_DROPOUT)
        self.dropout = torch.nn.Dropout(_DROPOUT)
        self.query = torch.nn.Linear(word_size, _SIZE)
        self.type_query = torch.nn.Linear(labels, _SIZE, bias=False)
        self.cells = ImageCells(region_size, _SIZE)
        self.presence = torch.nn.Sequential(
            torch.nn.Linear(word_size + region_size + 2 + labels, _PRESENCE_SIZE),
            torch.nn.GELU(),
            torch.nn.Linear(_PRESENCE_SIZE, 1),
        )
        self.register_load_state_dict_pre_hook(_absent_in_older_files)

    def relevance(self, mentions: Mentions, images: ImageFeatures) -> Tensor:
        """z, (B, M, K * R)."""
        return self._query(mentions) @ self.cells(images.regions.float(), images.grid).transpose(1, 2)

    def losses(self, mentions: Mentions, images: ImageFeatures, gold: GoldRegions) -> dict[str, Tensor]:
        """`"regions"` and `"presence"`, (B,) each: sums over a post's entities; zero for a post without an image.

        `"regions"` is the cross-entropy between sigmoid(z) and the share of each cell that the boxes cover, a mean over
        the cells; an entity that the image does not show covers none. `"presence"` is that of whether it shows it. Of
        several images both are means over those that can be read.

        Args:
            mentions: The entities of `gold`.
            images: The batch's images.
            gold: Where these are.
        """
        if self.training and gold.boxes.shape[2]:  # until there is a box, nothing says where
            self._learn_from(Learned.BOXES)
        slots = images.slots  # (B, K)
        known, on = gold.known(slots), gold.on(slots)  # (B, M), (B, M, K, N)
        mentions = replace(mentions, features=self.entity_dropout(mentions.features))
        with torch.autocast(images.regions.device.type, enabled=False):
            logits = _by_image(self.relevance(mentions, images), slots)  # (B, M, K, R)
            covered = gold.covered(slots, images.grid)
            cells = cross_entropy(logits, covered, reduction="none").mean(dim=3)  # (B, M, K)
            presence = self._presence(mentions, images, logits.detach())
            present = cross_entropy(presence, on.any(dim=3).to(presence.dtype), reduction="none")
        return {
            name: mean_over_images(term, slots).masked_fill(~known, 0.0).sum(dim=1)
            for name, term in (("regions", cells), ("presence", present))
        }

    def contrast(self, mentions: Mentions, images: ImageFeatures, entities: Spans) -> Tensor:
        """`"contrast"`, (B,): a sum over a post's entities; zero for a post without an image.

        With s = log mean exp z over the regions of an image, the best of several, an entity's term is softplus(-s) of
        its own post's image and the mean of softplus(s) over those of the batch's other posts, without the posts that
        have an entity of its type: what images of posts with a type have in common is what such an entity looks like.

        Args:
            mentions: The entities.
            images: The batch's images.
            entities: The same with their types; all there are, of the other posts too.
        """
        if self.training and self.learned is not Learned.BOXES:
            self._learn_from(Learned.CONTRAST)
        mentions = replace(mentions, features=self.entity_dropout(mentions.features))
        with torch.autocast(images.regions.device.type, enabled=False):
            cells = self.cells(images.regions.float(), images.grid)
            logits = torch.einsum("bmd,crd->bmcr", self._query(mentions), cells)  # of each entity in each post's images
            by_image = _mean(_by_image(logits, images.slots))  # (B, M, B, K)
            shown = by_image.masked_fill(~images.slots, -torch.inf).amax(dim=3).masked_fill(~images.present, 0.0)
            same_type = entities.type.unsqueeze(2).unsqueeze(3) == entities.type  # (B, M, B, M)
            others = images.present & ~(same_type & entities.mask).any(dim=3)  # (B, M, B)
            own = softplus(-shown.diagonal(dim1=0, dim2=2).T)  # (B, M)
            elsewhere = (softplus(shown) * others).sum(dim=2) / others.sum(dim=2).clamp(min=1)
        return ((own + elsewhere) * (entities.mask & images.present.unsqueeze(1))).sum(dim=1)

    def evidence(self, mentions: Mentions, images: ImageFeatures) -> Evidence | None:
        """Return what speaks for each region.

        None where the head has learned nothing and the network has no own map.
        """
        with torch.autocast(images.regions.device.type, enabled=False):
            if self.learned:
                logits = self.relevance(mentions, images)
                by_image = _by_image(logits, images.slots)
                boxes = self.learned is Learned.BOXES
                presence = self._presence(mentions, images, by_image) if boxes else _mean(by_image)
            elif mentions.own_map is not None:
                logits, presence = mentions.own_map.float(), None
            else:
                return None
        if images.several is None:
            return Evidence(logits, None if presence is None else presence.squeeze(2), images.grid)
        several = images.several.unsqueeze(1).expand(-1, logits.shape[1], -1)  # (B, M, K)
        return Evidence(_by_image(logits, images.several), presence, images.grid, several)

    def answer(self, mentions: Mentions, images: ImageFeatures) -> Grounding | None:
        """Where the entities are, see `evidence` and `read_evidence`."""
        evidence = self.evidence(mentions, images)
        return None if evidence is None else read_evidence(evidence, self.calibration)

    def _learn_from(self, source: Learned) -> None:
        """Forget how logits were read, where they come to mean something else."""
        if self.learned is not source:
            self.learned, self.calibration = source, GroundingCalibration()

    def _query(self, mentions: Mentions) -> Tensor:
        """Return what cells are compared with, (B, M, D)."""
        named = self.query(self.dropout(self.entity_norm(mentions.features)))
        return (named + self.type_query(mentions.types)) / math.sqrt(_SIZE)

    def _presence(self, mentions: Mentions, images: ImageFeatures, logits: Tensor) -> Tensor:
        """Return the logit of each image showing each entity, (B, M, K), from z (B, M, K, R)."""
        count, cells = logits.shape[2:]
        best = first_maximum(logits) + cells * torch.arange(count, device=logits.device)  # (B, M, K)
        chosen = torch.take_along_dim(images.regions, best.flatten(1).unsqueeze(2), dim=1)  # (B, M * K, Dv)
        evidence = torch.stack([logits.amax(dim=3), _mean(logits)], dim=3)
        entity, types = (
            values.unsqueeze(2).expand(-1, -1, count, -1)
            for values in (self.entity_norm(mentions.features), mentions.types)
        )
        region = normed(chosen.float()).unflatten(1, best.shape[1:])
        vectors = self.dropout(torch.cat([entity, region], dim=3))
        return self.presence(torch.cat([vectors, evidence, types], dim=3)).squeeze(3)

    def get_extra_state(self) -> Tensor:
        """Return what no weight says: what has been learned, and the calibration."""
        return torch.tensor([float(self.learned), *self.calibration.numbers()], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Read what `get_extra_state` wrote.

        Raises:
            ValueError: It is something else.
        """
        learned, *numbers = state.flatten().tolist()
        self.learned, self.calibration = Learned(learned), GroundingCalibration.of_numbers(numbers)


def _by_image(logits: Tensor, slots: Tensor) -> Tensor:
    """Return logits (..., K * R) as (..., K, R), from slots (B, K)."""
    return logits.unflatten(-1, (slots.shape[1], -1))


def _mean(logits: Tensor) -> Tensor:
    """Logits (..., R) to the logarithm of the mean of their exponentials, (...)."""
    return logits.logsumexp(dim=-1) - math.log(logits.shape[-1])


def _absent_in_older_files(head: GroundingHead, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Load a state; a file of before the head existed knows none of its weights: what the head began with stays."""
    if not any(name.startswith(prefix) for name in state):
        state.update({prefix + name: value for name, value in head.state_dict().items()})
