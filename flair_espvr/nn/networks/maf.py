"""The MAF network: how well words and image match decides how much of the image is let in (Xu et al., 2022)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from flair_espvr.nn.config import ModelConfig, PositiveFloat, PositiveInt, Share, require_heads
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.contrast import info_nce, swapped_pairs
from flair_espvr.nn.layers.cross_modal import CrossModalLayer
from flair_espvr.nn.layers.gate import Gate
from flair_espvr.nn.layers.pooling import masked_mean
from flair_espvr.nn.network import Network, NetworkOutput, known_size


class MAFConfig(ModelConfig):
    """Hyperparameters of MAF; the defaults are those of the published code. Its layers are as wide as the words."""

    num_heads: PositiveInt = 12
    """Heads of the cross-modal layer."""

    dropout: Share = 0.1
    """On the word vectors and in the cross-modal layer."""

    negatives: Annotated[int, Field(ge=0, multiple_of=2)] = 16
    """Posts of a training batch that are shown another's image, but no more than a quarter of those with images."""

    alignment_temperature: PositiveFloat = 0.179
    """Tau, what cosines are divided by in the alignment."""

    text_to_image: Annotated[float, Field(ge=0, le=1)] = 0.7
    """What the direction from text to image counts in the alignment; the other counts the rest."""

    tag_loss_weight: Annotated[float, Field(ge=0, le=1)] = 0.62
    """Lambda, what the tag CRF's loss counts; matching and alignment count the rest each."""


@dataclass(frozen=True)
class Match:
    """What texts and images are compared by.

    Attributes:
        scores: (B, 2) of text and shown image being strangers, and belonging together.
        belongs: (B,) bool, True where a post was shown an image, and its own.
        present: (B,) bool, True on posts with an image.
        aligned: Texts and own images where they are aligned, (B, D) each; None but in training.
    """

    scores: Tensor
    belongs: Tensor
    present: Tensor
    aligned: tuple[Tensor, Tensor] | None


@dataclass(frozen=True)
class MAFOutput(NetworkOutput):
    """What one forward pass gives.

    Attributes:
        match: How texts and images compare; None where no post has an image.
    """

    match: Match | None = None


class MAFNetwork(Network[MAFOutput]):
    """One cross-modal layer, a head that tells whether text and image match, a gate, and a contrast of whole posts.

    Arguments are those of `Network`.
    """

    compares_posts: ClassVar[bool] = True

    def __init__(self, config: MAFConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        region_size = known_size(region_size)
        self.config = config
        require_heads(word_size, config.num_heads, name="the size of the word vectors")
        self.dropout = torch.nn.Dropout(config.dropout)
        self.region_projection = torch.nn.Linear(region_size, word_size)
        self.words_to_regions = CrossModalLayer(word_size, config.num_heads, config.dropout)
        self.matching = torch.nn.Linear(2 * word_size, 2)
        self.gate = Gate(word_size, word_size, size=word_size)
        self.text_alignment = _two_layers(word_size, word_size)
        self.image_alignment = _two_layers(region_size, word_size)
        self.tag_emissions = torch.nn.Linear(2 * word_size, len(labels))
        self.tag_crf = LinearChainCRF(labels)

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Lambda for the tags, the rest for each of the others."""
        tags = self.config.tag_loss_weight
        return {"tags": tags, "match": 1 - tags, "align": 1 - tags}

    def forward(self, words: Tensor, mask: Tensor, images: ImageFeatures | None, **_: Any) -> MAFOutput:
        """Score every word's tags by H = [S ; G * p C], in training with the images of some posts swapped.

        Args:
            words: (B, T, D) encoder states of the words.
            mask: (B, T) bool, True on words.
            images: The batch's images; None where no post has one. A post without one is tagged by its text, C = 0.
        """
        text = self.dropout(words).masked_fill(~mask.unsqueeze(-1), 0.0)  # S (B, T, D)
        if images is None:
            return MAFOutput(self.tag_emissions(torch.cat([text, torch.zeros_like(text)], dim=-1)), mask)
        present = belongs = images.present
        seen = self.words_to_regions(text, self.region_projection(images.regions), images.mask)  # C (B, T, D)
        seen = seen.masked_fill(~present[:, None, None], 0.0)
        aligned = None
        if self.training:
            shown, swapped = swapped_pairs(present, count=images.count, negatives=self.config.negatives)
            seen, belongs = seen[shown], present & ~swapped
            aligned = self.text_alignment(masked_mean(words, mask)), self.image_alignment(images.pooled)
        scores = self.matching(torch.cat([masked_mean(text, mask), masked_mean(seen, mask)], dim=-1))  # (B, 2)
        matched = scores.softmax(dim=-1)[:, 1, None, None] * seen  # C' = p C
        fused = torch.cat([text, self.gate(text, matched) * matched], dim=-1)  # H (B, T, 2D)
        return MAFOutput(self.tag_emissions(fused), mask, Match(scores, belongs, present, aligned))

    def losses(self, output: MAFOutput, tags: Tensor) -> dict[str, Tensor]:
        """`"tags"`, `"match"` and `"align"`, (B,) each; the latter two are zero for a post without an image.

        `"tags"` is the negative log-likelihood, `"match"` the cross-entropy of telling strangers from pairs, `"align"`
        the InfoNCE between texts and images. In an evaluation no images are swapped and nothing is aligned: a post's
        loss does not hang on its batch.
        """
        losses = super().losses(output, tags)
        losses["match"] = losses["align"] = torch.zeros_like(losses["tags"])
        if output.match is not None:
            entropy = torch.nn.functional.cross_entropy(
                output.match.scores, output.match.belongs.long(), reduction="none"
            )
            losses["match"] = entropy.masked_fill(~output.match.present, 0.0)
            if output.match.aligned is not None:
                losses["align"] = info_nce(
                    *output.match.aligned,
                    output.match.present,
                    temperature=self.config.alignment_temperature,
                    first_share=self.config.text_to_image,
                )
        return losses


def _two_layers(size: int, result_size: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(size, result_size), torch.nn.ReLU(), torch.nn.Linear(result_size, result_size)
    )
