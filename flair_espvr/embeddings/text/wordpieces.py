"""Words and a caption to wordpieces, and the encoder's states back to one vector per word. Pure functions.

Axis letters: B sentences, T words, S wordpieces (special tokens, caption and padding included), D state size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase
from transformers.tokenization_utils_base import LARGE_INTEGER

from flair_espvr.io.thread_lock import ThreadLock

_limits = ThreadLock()

Pooling = Literal["first", "last", "first_last", "mean"]


@dataclass(frozen=True)
class CaptionedEncoding:
    """One post's wordpieces, its caption's after them.

    Attributes:
        ids, type_ids, attention_mask: as Hugging Face's tokenizers name them, (S,) each.
        word_ids: the post's word under each wordpiece; None on captions, special tokens and padding.
    """

    ids: list[int]
    type_ids: list[int]
    attention_mask: list[int]
    word_ids: list[int | None]


def encode_captioned(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Sequence[str]],
    captions: Sequence[Sequence[str] | None],
    *,
    max_caption_tokens: int | None = None,
    pad_to: int = 0,
) -> list[CaptionedEncoding]:
    """Encode posts, each with or without a caption, as Hugging Face encodes a pair or a single text.

    Truncation differs from Hugging Face's on purpose: a caption gives way to its post until nothing of it is left, and
    only then is the post cut.

    Args:
        tokenizer: a fast tokenizer.
        texts: the words of each post.
        captions: the words of each caption; None or empty for a post alone.
        max_caption_tokens: longest caption, in wordpieces.
        pad_to: shortest result.

    Returns:
        One encoding per post, padded to the longest or to `pad_to`.
    """
    encodings, text_lengths = [], []
    for text, caption in _fitting_parts(tokenizer, texts, captions, max_caption_tokens):
        text_lengths.append(sum(word is not None for word in text.word_ids))
        encodings.append(tokenizer.backend_tokenizer.post_process(text, caption, add_special_tokens=True))

    longest = max(pad_to, *(len(encoding) for encoding in encodings))
    for encoding in encodings:
        encoding.pad(
            longest,
            direction=tokenizer.padding_side,
            pad_id=tokenizer.pad_token_id,
            pad_type_id=tokenizer.pad_token_type_id,
            pad_token=tokenizer.pad_token,
        )
    return [
        CaptionedEncoding(encoding.ids, encoding.type_ids, encoding.attention_mask, _text_word_ids(encoding, length))
        for encoding, length in zip(encodings, text_lengths, strict=True)
    ]


def captioned_lengths(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Sequence[str]],
    captions: Sequence[Sequence[str] | None],
    *,
    max_caption_tokens: int | None = None,
) -> list[int]:
    """How many wordpieces `encode_captioned` gives each post before padding, special tokens included."""
    special = {pair: tokenizer.num_special_tokens_to_add(pair=pair) for pair in (False, True)}
    return [
        len(text) + (len(caption) if caption is not None else 0) + special[caption is not None]
        for text, caption in _fitting_parts(tokenizer, texts, captions, max_caption_tokens)
    ]


def _fitting_parts(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Sequence[str]],
    captions: Sequence[Sequence[str] | None],
    max_caption_tokens: int | None,
) -> Iterator[tuple[Encoding, Encoding | None]]:
    """Yield the wordpieces of each post and of what is left of its caption, cut to the encoder's room."""
    backend = _unlimited(tokenizer)
    limit = tokenizer.model_max_length if tokenizer.model_max_length < LARGE_INTEGER else None
    text_parts = backend.encode_batch(list(texts), is_pretokenized=True, add_special_tokens=False)
    caption_parts = iter(
        backend.encode_batch([words for words in captions if words], is_pretokenized=True, add_special_tokens=False)
    )
    for text, words in zip(text_parts, captions, strict=True):
        caption = next(caption_parts) if words else None
        if caption is not None:
            room = len(caption) if max_caption_tokens is None else max_caption_tokens
            if limit is not None:
                room = min(room, limit - tokenizer.num_special_tokens_to_add(pair=True) - len(text))
            caption.truncate(_without_last_separator(caption, max(0, room), tokenizer.sep_token_id))
            caption = caption if len(caption) > 0 else None
        if caption is None and limit is not None:
            text.truncate(max(0, limit - tokenizer.num_special_tokens_to_add(pair=False)))
        yield text, caption


def _without_last_separator(caption: Encoding, room: int, separator: int | None) -> int:
    """Of so many wordpieces those to keep, so that a cut between two contexts leaves no separator behind."""
    if room < len(caption):
        while room and caption.ids[room - 1] == separator:
            room -= 1
    return room


def _unlimited(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Return the tokenizer's backend, which neither cuts nor pads.

    What changes a backend fails while another thread encodes with it, so it is changed only where something set a limit
    before.
    """
    backend = tokenizer.backend_tokenizer
    if backend.truncation is not None or backend.padding is not None:
        with _limits.held():
            # Looked at again: whoever waited must change nothing, for the others are reading by now.
            if backend.truncation is not None or backend.padding is not None:
                backend.no_truncation()
                backend.no_padding()
    return backend


def _text_word_ids(encoding: Encoding, text_length: int) -> list[int | None]:
    """Return the word ids of the first `text_length` wordpieces that have one."""
    own = set(islice((index for index, word in enumerate(encoding.word_ids) if word is not None), text_length))
    return [word if index in own else None for index, word in enumerate(encoding.word_ids)]


def pool_wordpieces(hidden: torch.Tensor, word_ids: torch.Tensor, words: int, *, pooling: Pooling) -> torch.Tensor:
    """One vector per word from the states of its wordpieces.

    Args:
        hidden: (B,S,D) states.
        word_ids: (B,S) the word under each wordpiece, negative where there is none.
        words: T, the longest sentence.
        pooling: the word's first wordpiece (the paper's), its last, both joined, or their mean.

    Returns:
        (B,T,D), or (B,T,2D) for `"first_last"`; zero for words without a wordpiece.
    """
    if pooling == "first":
        return _pick(hidden, *_edge(word_ids, words, last=False))
    if pooling == "last":
        return _pick(hidden, *_edge(word_ids, words, last=True))
    if pooling == "first_last":
        edges = [_pick(hidden, *_edge(word_ids, words, last=last)) for last in (False, True)]
        return torch.cat(edges, dim=-1)
    members = (word_ids[:, :, None] == torch.arange(words, device=word_ids.device)).to(hidden.dtype)  # (B,S,T)
    return members.transpose(1, 2) @ hidden / members.sum(dim=1).clamp(min=1).unsqueeze(-1)


def _edge(word_ids: torch.Tensor, words: int, *, last: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Position in S of each word's first or last wordpiece, and whether the word has any: both (B,T)."""
    batch, pieces = word_ids.shape
    buckets = word_ids.clamp(min=-1) + 1  # bucket 0 takes every wordpiece that is no word's
    positions = torch.arange(pieces, device=word_ids.device).expand(batch, -1)
    nowhere, reduce = (-1, "amax") if last else (pieces, "amin")
    edge = torch.full((batch, words + 1), nowhere, device=word_ids.device)
    edge = edge.scatter_reduce(1, buckets, positions, reduce=reduce)[:, 1:]  # (B,T)
    return edge.clamp(0, pieces - 1), edge != nowhere


def _pick(hidden: torch.Tensor, position: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    vectors = hidden.gather(1, position[:, :, None].expand(-1, -1, hidden.shape[-1]))
    return vectors.masked_fill(~present[:, :, None], 0.0)
