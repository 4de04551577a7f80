"""Word vectors from a word's characters: by a convolution (Ma and Hovy, 2016) or a BiLSTM (Lample et al., 2016)."""

from abc import ABC, abstractmethod
from typing import Any

import flair
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import TokenEmbeddings
from flair.embeddings.base import register_embeddings
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


class _OfCharacters(TokenEmbeddings, ABC):
    """One vector for each different word of a batch, from the vectors of its characters."""

    def __init__(self, dictionary: Dictionary, *, char_embedding_dim: int, name: str, **arguments: Any) -> None:
        """Start from random vectors of characters, uniform in ±sqrt(3 / dim) (Ma and Hovy, 2016, section 3.1).

        Args:
            dictionary: the characters, with Flair's `<unk>`.
            char_embedding_dim: size of a character's vector.
            name: key of the vectors on Flair's tokens.
            arguments: of the class itself, kept for `to_params`.
        """
        super().__init__()
        self.name = name
        self.static_embeddings = False
        self.dictionary = dictionary
        self.arguments = {"char_embedding_dim": char_embedding_dim, "name": name, **arguments}
        self.padding = len(dictionary)
        self.embedding = torch.nn.Embedding(len(dictionary) + 1, char_embedding_dim, padding_idx=self.padding)
        bound = (3 / char_embedding_dim) ** 0.5
        with torch.no_grad():
            self.embedding.weight[: self.padding].uniform_(-bound, bound)

    @abstractmethod
    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Vectors (N,embedding_length) of N words given as character ids (N,C), padded."""

    def _add_embeddings_internal(self, sentences: list[Sentence]) -> None:
        tokens = [token for sentence in sentences for token in sentence]
        words = sorted({token.text for token in tokens})
        ids = [torch.tensor(self.dictionary.get_idx_for_items(list(word))) for word in words]
        characters = pad_sequence(ids, batch_first=True, padding_value=self.padding).to(flair.device)
        vectors = dict(zip(words, self(characters), strict=True))
        for token in tokens:
            token.set_embedding(self.name, vectors[token.text])

    def to_params(self) -> dict[str, Any]:
        """Return the arguments that make these embeddings again."""
        return {"dictionary": self.dictionary, **self.arguments}

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> "_OfCharacters":
        """Return the inverse of `to_params`."""
        return cls(**params)


@register_embeddings
class CharacterCNNEmbeddings(_OfCharacters):
    """Characters, dropout, one convolution, the maximum over the word; the character side of BLSTM-CNNs-CRF."""

    def __init__(
        self,
        dictionary: Dictionary,
        *,
        char_embedding_dim: int = 30,
        filters: int = 30,
        width: int = 3,
        dropout: float = 0.5,
        name: str = "CharCNN",
    ) -> None:
        """Take the sizes of the paper.

        Args:
            dictionary: the characters, with Flair's `<unk>`.
            char_embedding_dim: size of a character's vector.
            filters: size of a word's vector.
            width: characters under one filter; odd, so that it has a middle.
            dropout: share of the character vectors' values left out in training.
            name: key of the vectors on Flair's tokens.
        """
        super().__init__(
            dictionary, char_embedding_dim=char_embedding_dim, name=name, filters=filters, width=width, dropout=dropout
        )
        self.dropout = torch.nn.Dropout(dropout)
        self.convolution = torch.nn.Conv1d(char_embedding_dim, filters, width, padding=width // 2)
        self.to(flair.device)
        self.eval()

    @property
    def embedding_length(self) -> int:
        """Size of a word's vector."""
        return self.convolution.out_channels

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Vectors (N,filters) of N words given as character ids (N,C), padded."""
        vectors = self.dropout(self.embedding(characters)).transpose(1, 2)  # (N,dim,C)
        features = self.convolution(vectors)  # (N,filters,C)
        padding = (characters == self.padding)[:, None]
        return features.masked_fill(padding, float("-inf")).amax(dim=-1)


@register_embeddings
class CharacterLSTMEmbeddings(_OfCharacters):
    """Where a BiLSTM ends over a word's characters, in both directions; the character side of HBiLSTM-CRF.

    In place of Flair's `CharacterEmbeddings` (0.15.1), which take the backward direction at the last character, where
    it has read no other, and give a word that stands twice in a sentence another word's vector at its first place.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        *,
        char_embedding_dim: int = 25,
        hidden_size_char: int = 25,
        name: str = "CharLSTM",
    ) -> None:
        """Take the sizes of the paper.

        Args:
            dictionary: the characters, with Flair's `<unk>`.
            char_embedding_dim: size of a character's vector.
            hidden_size_char: size of a direction's state; a word's vector is twice as long.
            name: key of the vectors on Flair's tokens.
        """
        super().__init__(
            dictionary, char_embedding_dim=char_embedding_dim, name=name, hidden_size_char=hidden_size_char
        )
        self.rnn = torch.nn.LSTM(char_embedding_dim, hidden_size_char, batch_first=True, bidirectional=True)
        self.to(flair.device)
        self.eval()

    @property
    def embedding_length(self) -> int:
        """Size of a word's vector."""
        return 2 * self.rnn.hidden_size

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Vectors (N,2·hidden_size_char) of N words given as character ids (N,C), padded."""
        lengths = (characters != self.padding).sum(dim=1).cpu()
        packed = pack_padded_sequence(self.embedding(characters), lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.rnn(packed)  # (2,N,hidden): forward at the last character, backward at the first
        return torch.cat(tuple(last), dim=-1)
