"""The AdaCAN network: adaptive co-attention of words and regions (Zhang et al., AAAI 2018)."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from flair_espvr.nn.config import ModelConfig, PositiveInt, Share
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.layers.additive_attention import AdditiveAttention
from flair_espvr.nn.layers.bilstm import BiLSTM
from flair_espvr.nn.layers.gate import Gate, mix
from flair_espvr.nn.network import Network, NetworkOutput, known_size


class AdaCANConfig(ModelConfig):
    """Hyperparameters of AdaCAN; the defaults are those of its variant over BERT."""

    recurrent_size: PositiveInt | None = None
    """Size of the BiLSTM over the word vectors (400 in the published system); None for the word vectors themselves
    (AdaCAN-BERT-CRF)."""

    attention: Literal["published", "joint"] = "published"
    """`"published"`: as printed, where the weights of the regions cannot depend on the word. `"joint"`: as described,
    with both inside the tanh."""

    hidden_size: PositiveInt = 200
    """k, size of the co-attention and of the fused feature."""

    dropout: Share = 0.1
    """On the word vectors and before the emissions."""


class AdaCANNetwork(Network[NetworkOutput]):
    """Word-guided attention over regions, image-guided attention over words, a fusion gate and a filtration gate.

    Arguments are those of `Network`.
    """

    def __init__(self, config: AdaCANConfig, *, word_size: int, region_size: int | None, labels: Sequence[str]) -> None:
        super().__init__(labels=labels)
        region_size = known_size(region_size)
        self.config = config
        self.region_size = region_size
        size, text_size = config.hidden_size, config.recurrent_size or word_size
        joint = config.attention == "joint"
        self.dropout = torch.nn.Dropout(config.dropout)
        if config.recurrent_size is not None:
            self.encoder = BiLSTM(word_size, config.recurrent_size)
        self.visual_attention = AdditiveAttention(region_size, text_size if joint else None, hidden_size=size)
        self.text_attention = AdditiveAttention(text_size, region_size if joint else None, hidden_size=size)
        self.visual_fusion = torch.nn.Linear(region_size, size)
        self.text_fusion = torch.nn.Linear(text_size, size)
        self.fusion_gate = Gate(size, size, size=1)
        self.filtration_gate = Gate(text_size, size, size=1)
        self.filtered = torch.nn.Linear(size, size)
        self.tag_emissions = torch.nn.Linear(text_size + size, len(labels))
        self.tag_crf = LinearChainCRF(labels)

    def forward(self, words: Tensor, mask: Tensor, images: ImageFeatures | None, **_: Any) -> NetworkOutput:
        """Score every word's tags.

        Args:
            words: (B, T, D_enc) vectors of the words.
            mask: (B, T) bool, True on words.
            images: The batch's images; None where no post has one. The attended picture of a post without one is zero.
        """
        text = self.dropout(words)  # h (B, T, D)
        if self.config.recurrent_size is not None:
            text, _last = self.encoder(text, mask)
        joint = self.config.attention == "joint"
        if images is None:
            seen = text.new_zeros(len(text), 1, self.region_size)
        else:  # v^ (B, T, Dv), or (B, 1, Dv) where it is the same for every word
            seen = self.visual_attention(images.regions, images.mask, text if joint else None)
        read = self.text_attention(text, mask, seen if joint else None)  # h^ (B, T or 1, D)
        visual, textual = torch.tanh(self.visual_fusion(seen)), torch.tanh(self.text_fusion(read))  # p, r
        fused = mix(self.fusion_gate(visual, textual), visual, textual)  # m (B, T or 1, k)
        filtered = self.filtration_gate(text, fused) * torch.tanh(self.filtered(fused))  # u (B, T, k)
        return NetworkOutput(self.tag_emissions(self.dropout(torch.cat([text, filtered], dim=-1))), mask)
