"""What compares the posts of a batch: InfoNCE between two views of them, and pairs that do not belong together."""

import torch
from torch import Tensor


def info_nce(first: Tensor, second: Tensor, present: Tensor, *, temperature: float, first_share: float) -> Tensor:
    """InfoNCE over cosines, both ways: a post's first vector should find its own second one among all, and vice versa.

    s -log softmax_c(cos(a_b, v_c) / t)[b] + (1 - s) -log softmax_c(cos(v_b, a_c) / t)[b], with c over the posts that
    have both vectors.

    Args:
        first: a, (B, D).
        second: v, (B, D).
        present: (B,) bool, True for posts that have both; others are neither asked for nor compared with.
        temperature: t, above 0.
        first_share: s, what the direction from the first to the second counts, in 0..1.

    Returns:
        (B,), zero for posts that are not present.
    """
    first, second = (torch.nn.functional.normalize(vectors, dim=1) for vectors in (first, second))
    cosines = first @ second.T / temperature  # (B, B)
    # A post that is not present is compared with itself, so that no softmax runs over nothing.
    compared = present | torch.eye(len(present), dtype=torch.bool, device=present.device)
    rows = [
        -similarity.masked_fill(~compared, -torch.inf).log_softmax(dim=1).diagonal()
        for similarity in (cosines, cosines.T)
    ]
    return (first_share * rows[0] + (1 - first_share) * rows[1]).masked_fill(~present, 0.0)


def swapped_pairs(present: Tensor, *, count: int, negatives: int) -> tuple[Tensor, Tensor]:
    """Whose image each post is shown where some posts are to be shown one that is not their own.

    Of the last N posts that have an image, the first half changes images with the second half. N is `negatives`, but
    no more than a quarter of these posts, rounded down to pairs: who is shown the wrong image too often learns to
    look at none.

    Args:
        present: (B,) bool, True for posts that have an image.
        count: How many that are.
        negatives: Most posts to swap, even.

    Returns:
        For each post the one whose image it is shown, (B,) long, and whether that is another, (B,) bool.
    """
    swapped = min(negatives, 2 * (count // 8))
    posts = torch.arange(len(present), device=present.device)
    last = present.to(torch.uint8).argsort(descending=True, stable=True)[count - swapped : count]
    shown = posts.index_copy(0, last, last.roll(swapped // 2))
    return shown, shown != posts
