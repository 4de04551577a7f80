"""Dropout of whole words."""

import torch

from flair_espvr.nn.layers.word_dropout import WordDropout


def test_whole_words_go_and_the_others_stay_as_they_are() -> None:
    words = torch.randn(50, 40, 3)
    dropout = WordDropout(0.3)
    dropped = dropout(words)
    gone = (dropped == 0).all(dim=-1)
    assert torch.equal(dropped[~gone], words[~gone])
    assert abs(float(gone.float().mean()) - 0.3) < 0.04
    assert torch.equal(dropout.eval()(words), words)
    assert torch.equal(WordDropout(0.0)(words), words)
