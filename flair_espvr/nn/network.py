"""What every network gives: emissions over BIO2 labels, a CRF over them, and the terms of its loss by name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.grounding.tensors import GoldRegions, Mentions
from flair_espvr.nn.layers.spans import Spans, bio_spans, span_features

SPAN_LABELS = ("O", "B", "I")
"""Labels of a CRF that finds entities without their types."""


def known_size(region_size: int | None) -> int:
    """Return the size of the region vectors, for a network that cannot do without images.

    Raises:
        ValueError: If there is none.
    """
    if region_size is None:
        raise ValueError("this network reads images, so region_size should be a number")
    return region_size


@dataclass(frozen=True)
class NetworkOutput:
    """What one forward pass gives; a network whose losses need more has a subclass of its own.

    Attributes:
        emissions: (B, T, L) scores of each word's labels, for `Network.tag_crf`.
        mask: (B, T) bool, True on words.
    """

    emissions: Tensor
    mask: Tensor


Output = TypeVar("Output", bound=NetworkOutput)


class Network(torch.nn.Module, ABC, Generic[Output]):
    """Base of the networks: tensors in, emissions and named losses out; it knows nothing of Flair.

    A subclass builds its layers in its constructor, `tag_crf` among them, implements `forward`, and adds to `losses`
    what terms it has besides.

    Its constructor takes the model's config, and by name `word_size` (D_enc), `region_size` (Dv; None where no images
    are given) and `labels`.

    Args:
        labels: The L BIO2 tags, "O" first.

    Attributes:
        compares_posts: Whether training compares the posts of a batch, which must then be seen at once.
        tag_crf: The CRF over the labels.
    """

    compares_posts: ClassVar[bool] = False
    tag_crf: LinearChainCRF
    _plain: Tensor

    def __init__(self, *, labels: Sequence[str]) -> None:
        super().__init__()
        plain = torch.tensor([SPAN_LABELS.index(label[0]) for label in labels])
        self.register_buffer("_plain", plain, persistent=False)

    @abstractmethod
    def forward(self, words: Tensor, mask: Tensor, images: ImageFeatures | None, **inputs: Any) -> Output:
        """Score every word's tags.

        Args:
            words: (B, T, D_enc) vectors of the words.
            mask: (B, T) bool, True on words, present ones first.
            images: The batch's images; None where no post has one.
            inputs: What else the model's tagger gives to its network.
        """

    def losses(self, output: Output, tags: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss by name, without weights: `"tags"`, the tag CRF's negative log-likelihoods.

        Args:
            output: Of `forward` on the same posts.
            tags: (B, T) gold tag ids, "O" on padding.

        Returns:
            For each term either one loss for each post, (B,), or the batch's mean over its posts, (); terms that
            compare the posts of a batch are of the second kind.
        """
        return {"tags": self.tag_crf.loss(output.emissions, tags, output.mask)}

    def place_losses(self, output: Output, images: ImageFeatures, gold: GoldRegions) -> dict[str, Tensor]:
        """Return further terms of the loss, (B,) each, for a network that learns from gold regions where to look.

        Args:
            output: Of `forward` on the same posts.
            images: The batch's images.
            gold: Where these are known to show entities.
        """
        return {}

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """What each term of `losses` counts; a term without a weight counts 1."""
        return {}

    def total_loss(self, losses: Mapping[str, Tensor], posts: int) -> Tensor:
        """Return the weighted sum over terms and posts, (); a batch's mean counts as often as there are posts."""
        weights = self.loss_weights
        weighted = [weights.get(name, 1.0) * term for name, term in losses.items()]
        total = sum(term for term in weighted if term.dim())  # (B,)
        return torch.as_tensor(total).sum() + posts * sum(term for term in weighted if not term.dim())

    def decode(self, output: Output) -> Spans:
        """Entities by the tag CRF's Viterbi; a type is its place in `tag_crf.types`."""
        return self.spans_of(self.tag_crf.decode(output.emissions, output.mask), output.mask)

    def spans_of(self, tags: Tensor, mask: Tensor) -> Spans:
        """Return the entities that tags (B, T) stand for, which must be legal BIO2."""
        return bio_spans(tags, mask, begin=self.tag_crf.begin, inside=self.tag_crf.inside)

    def span_tags(self, tags: Tensor) -> Tensor:
        """Tag ids (B, T) as ids over `SPAN_LABELS`: the same entities without their types."""
        return self._plain[tags]

    def attention_map(self, output: Output, spans: Spans) -> Tensor | None:
        """How much each of M entities attends to each region, (B, M, R) logits; None where the network has no such map.

        Called where a post has an image. A network whose map has learned where to look answers with it until there are
        boxes to learn from.
        """
        return None

    def mentions(self, words: Tensor, output: Output, spans: Spans, *, with_map: bool = True) -> Mentions:
        """Entities as `GroundingHead` reads them, without gradients: what it learns changes no tag.

        Args:
            words: (B, T, D_enc), what `forward` was given.
            output: Of `forward`, on posts with images.
            spans: M entities a post.
            with_map: Whether the network's own map is to be read, where it has one.
        """
        own_map = self.attention_map(output, spans) if with_map else None
        return Mentions(
            features=span_features(words, spans).detach(),
            types=torch.take_along_dim(output.emissions, spans.start.unsqueeze(2), dim=1).float().softmax(2).detach(),
            own_map=None if own_map is None else own_map.detach(),
        )
