"""The ITA network: the text that is read with contexts teaches the text that is read alone (Wang et al., 2022)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from flair_espvr.nn.config import ModelConfig, PositiveFloat, Share
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.distillation import tempered_divergence
from flair_espvr.nn.layers.word_dropout import WordDropout
from flair_espvr.nn.network import Network, NetworkOutput


class ITAConfig(ModelConfig):
    """Hyperparameters of ITA; the defaults are those of the published configurations."""

    dropout: Share = 0.0
    """On numbers of the word vectors."""

    word_dropout: Share = 0.1
    """On whole word vectors."""

    alignment_temperature: PositiveFloat = 2.0
    """Tau, 2 on Twitter-2017, 4 on Twitter-2015 and SNAP."""

    alignment_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """What the alignment counts; the loss with contexts counts the rest, that of the text alone 1."""

    @property
    def reads_images(self) -> bool:
        """Never: pictures are in the contexts, as text."""
        return False


@dataclass(frozen=True)
class ITAOutput(NetworkOutput):
    """What one forward pass gives.

    Attributes:
        text_emissions: (B, T, L) of the text alone; None but in training.
    """

    text_emissions: Tensor | None = None


class ITANetwork(Network[ITAOutput]):
    """A linear layer and a CRF over word vectors; in training over those of two views, which it aligns.

    Arguments are those of `Network`.
    """

    def __init__(self, config: ITAConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        self.config = config
        self.dropout = torch.nn.Sequential(torch.nn.Dropout(config.dropout), WordDropout(config.word_dropout))
        self.tag_emissions = torch.nn.Linear(word_size, len(labels))
        self.tag_crf = LinearChainCRF(labels)

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """Half of the loss with contexts, half of the alignment, and the text's own loss whole, as released."""
        share = self.config.alignment_share
        return {"tags": 1 - share, "text_tags": 1.0, "alignment": share}

    def forward(
        self, words: Tensor, mask: Tensor, images: ImageFeatures | None, *, text_words: Tensor | None = None, **_: Any
    ) -> ITAOutput:
        """Score every word's tags.

        Args:
            words: (B, T, D_enc) vectors of the words, read with the posts' contexts.
            mask: (B, T) bool, True on words.
            images: None.
            text_words: (B, T, D_enc) vectors of the same words, read alone; None but in training.
        """
        text_emissions = None if text_words is None else self.tag_emissions(self.dropout(text_words))
        return ITAOutput(self.tag_emissions(self.dropout(words)), mask, text_emissions)

    def losses(self, output: ITAOutput, tags: Tensor) -> dict[str, Tensor]:
        """`"tags"` and in training `"text_tags"` and `"alignment"`, (B,) each.

        The first two are negative log-likelihoods, with contexts and of the text alone. The third is the divergence
        of the text's tempered marginals from those with contexts, which it does not change.
        """
        losses = super().losses(output, tags)
        if output.text_emissions is not None:
            losses["text_tags"] = self.tag_crf.loss(output.text_emissions, tags, output.mask)
            with torch.no_grad():
                teacher = self.tag_crf.marginals(output.emissions, output.mask)
            losses["alignment"] = tempered_divergence(
                teacher,
                self.tag_crf.marginals(output.text_emissions, output.mask),
                output.mask,
                temperature=self.config.alignment_temperature,
            )
        return losses
