"""The BiLSTM against torch's LSTM cells, one sentence and one word at a time."""

import pytest
import torch

from flair_espvr.nn.layers.bilstm import BiLSTM


def slow(layer: BiLSTM, words: torch.Tensor, initial: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """States (T, D) and last states (D,) of one sentence."""
    half = layer.lstm.hidden_size
    directions, lasts = [], []
    for direction, suffix in enumerate(("", "_reverse")):
        cell = torch.nn.LSTMCell(words.shape[1], half).double()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(cell, name, torch.nn.Parameter(getattr(layer.lstm, f"{name}_l0{suffix}")))
        hidden = torch.zeros(half).double() if initial is None else initial[direction * half : (direction + 1) * half]
        memory = torch.zeros(half).double()
        order = list(range(len(words)))[:: -1 if direction else 1]
        states = {}
        for word in order:
            hidden, memory = cell(words[word], (hidden, memory))
            states[word] = hidden
        directions.append(torch.stack([states[word] for word in range(len(words))]))
        lasts.append(hidden)
    return torch.cat(directions, dim=1), torch.cat(lasts)


@pytest.mark.parametrize("with_initial", [False, True])
@pytest.mark.parametrize("lengths", [(4, 2, 1), (1, 4, 2), (3, 3, 3)], ids=str)
def test_every_sentence_gets_what_it_gets_alone(lengths: tuple[int, ...], with_initial: bool) -> None:
    layer = BiLSTM(3, 6).double()
    words = torch.randn(3, 4, 3).double()
    mask = torch.arange(4) < torch.tensor(lengths)[:, None]
    initial = torch.randn(3, 6).double() if with_initial else None
    states, last = layer(words, mask, initial)
    assert states.shape == (3, 4, 6)
    for row, length in enumerate(lengths):
        expected, end = slow(layer, words[row, :length], None if initial is None else initial[row])
        torch.testing.assert_close(states[row, :length], expected)
        torch.testing.assert_close(last[row], end)
        assert not states[row, length:].any()


def test_padding_is_never_read() -> None:
    layer = BiLSTM(3, 4)
    words, mask = torch.randn(1, 3, 3), torch.tensor([[True, True, False]])
    spoilt = words.clone()
    spoilt[0, 2] = torch.nan
    assert torch.equal(layer(words, mask)[0], layer(spoilt, mask)[0])


def test_an_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size=5 should be even"):
        BiLSTM(3, 5)
