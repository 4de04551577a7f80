"""A bidirectional LSTM over the words of a sentence, which may start from a given state."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class BiLSTM(torch.nn.Module):
    """One layer in both directions; padding is never read, and changes nothing.

    Args:
        input_size: Size of the word vectors.
        hidden_size: D, size of a word's state: half from each direction.

    Raises:
        ValueError: If `hidden_size` is odd.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        if hidden_size % 2:
            raise ValueError(f"hidden_size={hidden_size} should be even: half is of each direction")
        self.lstm = torch.nn.LSTM(input_size, hidden_size // 2, batch_first=True, bidirectional=True)

    def forward(self, words: Tensor, mask: Tensor, initial: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read the words.

        Args:
            words: (B, T, input_size).
            mask: (B, T) bool, present words first and at least one in each sentence.
            initial: (B, D) hidden state to start from, half for each direction; zeros by default. Cells start at zero.

        Returns:
            States (B, T, D), zero where masked, and each sentence's last states of both directions, (B, D).
        """
        lengths = mask.sum(dim=1).cpu()  # torch wants them there
        packed = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        state = None
        if initial is not None:
            hidden = torch.stack(initial.chunk(2, dim=1))  # (2, B, D / 2)
            state = (hidden.contiguous(), torch.zeros_like(hidden))
        states, (last, _) = self.lstm(packed, state)
        padded, _ = pad_packed_sequence(states, batch_first=True, total_length=words.shape[1])
        return padded, torch.cat(list(last), dim=1)
