"""The word vectors of a batch as one tensor, from any of Flair's word-level embeddings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol, runtime_checkable

import flair
import torch
from flair.data import Sentence
from flair.embeddings import TokenEmbeddings
from torch.nn.utils.rnn import pad_sequence

from flair_espvr.errors import UnsafeModelError
from flair_espvr.nn.layers.visual_prefix import AttentionShape, EncoderPrefix


@runtime_checkable
class BatchEmbeddings(Protocol):
    """Word-level embeddings that hand over a whole batch as one tensor, and know what they read besides the words."""

    def embed_batch(self, sentences: list[Sentence]) -> torch.Tensor:
        """Word vectors (B, T, D) of B non-empty sentences, zero-padded; nothing is stored on the tokens."""

    def input_lengths(self, sentences: Sequence[Sentence]) -> list[int]:
        """How many steps the encoder reads for each sentence alone, for batches of like lengths."""

    def used_tokens(self, sentence: Sentence) -> list[str]:
        """All words that are read for a sentence."""


@runtime_checkable
class ContextEmbeddings(Protocol):
    """Word-level embeddings that read contexts after a post's words, and can leave them unread."""

    def embed_text(self, sentences: list[Sentence]) -> torch.Tensor:
        """Word vectors (B, T, D) as the words alone give them; nothing is stored on the tokens."""


@runtime_checkable
class PrefixEmbeddings(Protocol):
    """Word-level embeddings whose encoder reads keys and values from elsewhere in its attention layers."""

    def embed_prefixed(self, sentences: list[Sentence], prefix: EncoderPrefix | None) -> torch.Tensor:
        """Word vectors (B, T, D) behind a prefix; nothing is stored on the tokens."""

    @property
    def attention_shape(self) -> AttentionShape:
        """What the prefix has to fit."""


def word_vectors(embeddings: TokenEmbeddings, sentences: list[Sentence], *, keep: bool = False) -> torch.Tensor:
    """Embeds a batch.

    What embeds batches hands its tensor over as it is. Every other kind, and what is to be kept, goes through
    Flair's tokens, where static vectors of an earlier epoch may already wait.

    Args:
        embeddings: any word-level embeddings.
        sentences: B sentences, none empty.
        keep: leave the vectors on the tokens for the caller, as Flair's `embedding_storage_mode` "cpu" and "gpu" ask.

    Returns:
        (B,T,D), zero-padded, T the longest sentence.

    Raises:
        UnsafeModelError: the tokenizer cannot go on with a sentence.
    """
    if isinstance(embeddings, BatchEmbeddings) and not keep:
        with panics_explained():
            return embeddings.embed_batch(sentences)
    # What stays on the tokens must not depend on the precision of one prediction.
    with panics_explained(), torch.autocast(flair.device.type, enabled=False) if keep else nullcontext():
        embeddings.embed(sentences)
    # One name at a time: Flair joins several by alphabet, and some embeddings of a stack change names when reloaded.
    names = embeddings.get_names()
    rows = [
        torch.cat([torch.stack([token.get_embedding([name]) for token in sentence]) for name in names], dim=-1)
        for sentence in sentences
    ]
    return pad_sequence(rows, batch_first=True)


def keep_vectors(embeddings: TokenEmbeddings, sentences: list[Sentence], words: torch.Tensor) -> None:
    """Leaves word vectors (B,T,D) on the tokens, as those of these embeddings."""
    (name,) = embeddings.get_names()
    for sentence, vectors in zip(sentences, words, strict=True):
        for token, vector in zip(sentence, vectors, strict=False):  # padding is of no token
            token.set_embedding(name, vector)


def word_mask(words: torch.Tensor, sentences: Sequence[Sentence]) -> torch.Tensor:
    """Which of the word vectors (B,T,D) of B sentences are those of words, (B,T) bool."""
    lengths = torch.tensor([len(sentence) for sentence in sentences]).to(words.device, non_blocking=True)
    return torch.arange(words.shape[1], device=words.device) < lengths[:, None]


@contextmanager
def panics_explained() -> Iterator[None]:
    """Turn the panic of a tokenizer, which is no `Exception` and would end a service, into an error of the model.

    Raises:
        UnsafeModelError: the tokenizer panicked: at a regular expression that takes it too long, for instance.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise UnsafeModelError(f"the model's tokenizer is damaged: it cannot read a sentence ({error})") from error
