"""What one view of a post may learn from another."""

import torch
from torch import Tensor

LEAST = 1e-20
"""Probability below which a label counts as impossible: single precision cannot hold its logarithm's gradient."""


def tempered_divergence(teacher: Tensor, student: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """t^2 KL(q_teacher || q_student), with q = p^(1/t), renormalised at each word, summed over labels and words.

    Args:
        teacher: p of each word's labels, (B, T, L). No gradient goes there.
        student: (B, T, L).
        mask: (B, T) bool, True on words; elsewhere probabilities may be anything.
        temperature: t: above 1, what is improbable has more of a say.

    Returns:
        (B,).
    """
    known, learned = (
        (probabilities.clamp(min=LEAST).log() / temperature).log_softmax(dim=-1)
        for probabilities in (teacher.detach(), student)
    )
    divergences = torch.nn.functional.kl_div(learned, known, reduction="none", log_target=True).sum(dim=-1)  # (B, T)
    return temperature**2 * divergences.masked_fill(~mask, 0.0).sum(dim=-1)
