"""Word vectors from a convolution over a word's characters (Ma and Hovy, 2016)."""

from typing import Any

import flair
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import TokenEmbeddings
from flair.embeddings.base import register_embeddings
from torch.nn.utils.rnn import pad_sequence


@register_embeddings
class CharacterCNNEmbeddings(TokenEmbeddings):
    """Characters, dropout, one convolution, the maximum over the word; the character side of BLSTM-CNNs-CRF.

    Flair's `CharacterEmbeddings` are the recurrent counterpart.
    """

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
        """Start from random vectors, uniform in ±sqrt(3 / dim) as the paper has them.

        Args:
            dictionary: the characters, with Flair's `<unk>`.
            char_embedding_dim: size of a character's vector.
            filters: size of a word's vector.
            width: characters under one filter; odd, so that it has a middle.
            dropout: share of the character vectors' values left out in training.
            name: key of the vectors on Flair's tokens.
        """
        super().__init__()
        self.name = name
        self.static_embeddings = False
        self.dictionary = dictionary
        self.arguments = {
            "char_embedding_dim": char_embedding_dim,
            "filters": filters,
            "width": width,
            "dropout": dropout,
            "name": name,
        }
        self.padding = len(dictionary)
        self.embedding = torch.nn.Embedding(len(dictionary) + 1, char_embedding_dim, padding_idx=self.padding)
        bound = (3 / char_embedding_dim) ** 0.5
        with torch.no_grad():
            self.embedding.weight[: self.padding].uniform_(-bound, bound)
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
    def from_params(cls, params: dict[str, Any]) -> "CharacterCNNEmbeddings":
        """Return the inverse of `to_params`."""
        return cls(**params)
