"""The GVATT network: visual attention, and a gate on what it sees (Lu et al., ACL 2018)."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from flair_espvr.nn.config import ModelConfig, PositiveInt, Share
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.additive_attention import AdditiveAttention
from flair_espvr.nn.layers.bilstm import BiLSTM
from flair_espvr.nn.layers.gate import Gate
from flair_espvr.nn.layers.pooling import masked_mean
from flair_espvr.nn.network import Network, NetworkOutput, known_size


class GVATTConfig(ModelConfig):
    """Hyperparameters of GVATT; the defaults are those of its variant over BERT."""

    recurrent: bool = False
    """Put a BiLSTM over the word vectors, which starts from the attended picture (the published system); otherwise the
    word vectors themselves are gated (GVATT-BERT-CRF)."""

    attention: Literal["published", "joint"] = "published"
    """`"published"`: as printed, where the picture's weights cannot depend on the text. `"joint"`: as described, with
    the text inside the tanh."""

    hidden_size: PositiveInt | None = None
    """D, size of a word's state and of the attended picture; None for the size of the word vectors."""

    dropout: Share = 0.1
    """On the word vectors and before the emissions."""


class GVATTNetwork(Network[NetworkOutput]):
    """Attention over regions, a BiLSTM from the attended picture, and a modulation gate at each word.

    Arguments are those of `Network`.
    """

    def __init__(self, config: GVATTConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        region_size = known_size(region_size)
        self.config = config
        size = config.hidden_size or word_size
        self.size = size
        self.dropout = torch.nn.Dropout(config.dropout)
        self.region_projection = torch.nn.Linear(region_size, size)
        query_size = None
        if config.attention == "joint":
            query_size = size if config.recurrent else word_size
        self.attention = AdditiveAttention(size, query_size, hidden_size=size)
        if config.recurrent and query_size is not None:
            self.query = BiLSTM(word_size, size)
        self.encoder = BiLSTM(word_size, size) if config.recurrent else torch.nn.Linear(word_size, size)
        self.visual_gate, self.word_gate = (Gate(size, size, size=size) for _ in range(2))
        self.word_modulation = torch.nn.Linear(size, size)
        self.visual_modulation = torch.nn.Linear(size, size, bias=False)
        self.tag_emissions = torch.nn.Linear(size, len(labels))
        self.tag_crf = LinearChainCRF(labels)

    def forward(self, words: Tensor, mask: Tensor, images: ImageFeatures | None, **_: Any) -> NetworkOutput:
        """Score every word's tags.

        Args:
            words: (B, T, D_enc) vectors of the words.
            mask: (B, T) bool, True on words.
            images: The batch's images; None where no post has one. The attended picture of a post without one is zero.
        """
        words = self.dropout(words)
        seen = self.attend(words, mask, images)  # v_c (B, D)
        hidden = self.encoder(words, mask, seen)[0] if self.config.recurrent else self.encoder(words)  # (B, T, D)
        seen = seen.unsqueeze(1)
        modulated = torch.tanh(self.word_modulation(hidden) + self.visual_modulation(seen))
        mixed = self.word_gate(hidden, seen) * hidden + self.visual_gate(hidden, seen) * modulated
        return NetworkOutput(self.tag_emissions(self.dropout(mixed)), mask)

    def attend(self, words: Tensor, mask: Tensor, images: ImageFeatures | None) -> Tensor:
        """Return the attended picture v_c, (B, D); zero for a post without one."""
        if images is None:
            return words.new_zeros(len(words), self.size)
        regions = self.region_projection(images.regions)  # (B, R, D)
        if self.config.attention == "published":
            return self.attention(regions, images.mask).squeeze(1)
        query = self.query(words, mask)[1] if self.config.recurrent else masked_mean(words, mask)  # q
        return self.attention(regions, images.mask, query.unsqueeze(1)).squeeze(1)
