"""Spans of words as tensors: read from BIO tags, and averaged into one feature each."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Spans:
    """The spans of each sentence from left to right, padded to M per sentence.

    Attributes:
        start: First word, (B, M) long; 0 where masked.
        end: One past the last word, (B, M) long; 0 where masked.
        type: Index of the type in the `begin` ids the spans were read with, (B, M) long; 0 where masked.
        mask: Which spans exist, (B, M) bool.
    """

    start: Tensor
    end: Tensor
    type: Tensor
    mask: Tensor


def bio_spans(tags: Tensor, mask: Tensor, *, begin: Tensor, inside: Tensor) -> Spans:
    """Read the spans from legal BIO2 tags, as a `LinearChainCRF` decodes them: each inside tag continues a span.

    Args:
        tags: Tag ids, (B, T) long; any value where masked.
        mask: Words of each sentence, (B, T) bool, present words first.
        begin: Id of the begin tag of each of K types, (K,) long, as `LinearChainCRF.begin`.
        inside: Id of the inside tag of each type, (K,) long, as `LinearChainCRF.inside`.

    Returns:
        Spans with M the largest number of spans in one sentence, which may be 0. To find it means to wait for the
        device; M is T, the largest possible, on any other device than the CPU.
    """
    is_begin = torch.isin(tags, begin) & mask  # (B, T)
    is_inside = torch.isin(tags, inside) & mask
    continues = torch.nn.functional.pad(is_inside[:, 1:], (0, 1))
    is_last = (is_begin | is_inside) & ~continues

    count = is_begin.sum(dim=1, keepdim=True)  # (B, 1)
    length = tags.shape[1]
    most = int(count.max()) if count.device.type == "cpu" else length
    position = torch.arange(length, device=tags.device)
    # Sorting brings the positions that bound a span to the front, in order, and all others to the back.
    start = position.masked_fill(~is_begin, length).sort(dim=1).values[:, :most]
    end = position.masked_fill(~is_last, length).sort(dim=1).values[:, :most] + 1

    exists = torch.arange(most, device=tags.device) < count  # (B, M)
    start, end = start.masked_fill(~exists, 0), end.masked_fill(~exists, 0)
    is_type = tags.gather(1, start).unsqueeze(-1) == begin  # (B, M, K)
    type_index = (is_type * torch.arange(len(begin), device=tags.device)).sum(dim=-1)
    return Spans(start, end, type_index.masked_fill(~exists, 0), exists)


def span_features(hidden: Tensor, spans: Spans) -> Tensor:
    """Mean of the words of each span, the entity features e_i (paper 3.3).

    Args:
        hidden: Word representations T, (B, T, D).
        spans: Spans of these sentences, M each.

    Returns:
        Features (B, M, D), float32 or wider; zero where a span is masked.
    """
    position = torch.arange(hidden.shape[1], device=hidden.device)
    member = (position >= spans.start.unsqueeze(-1)) & (position < spans.end.unsqueeze(-1))  # (B, M, T)
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    words = (spans.end - spans.start).clamp(min=1).unsqueeze(-1)  # (B, M, 1)
    # A sum over members, not a difference of running sums: what stands outside a span cannot round its way in.
    with torch.autocast(hidden.device.type, enabled=False):
        return member.to(dtype) @ hidden.to(dtype) / words
