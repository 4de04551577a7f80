"""The divergence of two views against its formula, number by number."""

import math

import pytest
import torch

from flair_espvr.nn.layers.distillation import tempered_divergence

MASK = torch.tensor([[True, True, True], [True, False, False]])


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_follows_the_formula(temperature: float) -> None:
    teacher, student = (torch.randn(2, 3, 4).double().softmax(dim=-1) for _ in range(2))
    result = tempered_divergence(teacher, student, MASK, temperature=temperature)

    def tempered(row: list[float]) -> list[float]:
        powers = [probability ** (1 / temperature) for probability in row]
        return [power / sum(powers) for power in powers]

    for post in range(2):
        total = 0.0
        for word in range(3):
            if MASK[post, word]:
                known, learned = tempered(teacher[post, word].tolist()), tempered(student[post, word].tolist())
                total += sum(q * math.log(q / p) for q, p in zip(known, learned, strict=True))
        assert float(result[post]) == pytest.approx(temperature**2 * total)


def test_only_the_student_learns_and_impossible_labels_do_no_harm() -> None:
    teacher = torch.tensor([[[0.5, 0.5, 0.0]]], requires_grad=True)
    student = torch.tensor([[[1.0, 0.0, 0.0]]], requires_grad=True)
    tempered_divergence(teacher, student, MASK[:1, :1], temperature=2.0).sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_the_same_view_has_nothing_to_learn() -> None:
    view = torch.randn(2, 3, 4).softmax(dim=-1)
    assert tempered_divergence(view, view, MASK, temperature=2.0).tolist() == [0.0, 0.0]
