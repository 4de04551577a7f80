"""The bar of a training: its rate and its time left."""

import pytest

from flair_espvr.training.trainer.progress import ProgressBar


def test_what_an_earlier_process_did_counts_for_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar("Training", opening="12 posts")
    bar.after_setup(dataset_size=12, mini_batch_size=5, max_epochs=4)
    shown = bar._bar
    for epoch in (3, 4):
        bar.before_training_epoch(epoch=epoch)
        assert (shown.n, shown.initial, shown.total) == ((epoch - 1) * 3, 6, 12)
        for _ in range(3):
            bar.after_training_batch()
        bar.after_evaluation(epoch=epoch, validation_scores=(0.5, 1.0) if epoch == 3 else (0.25,))
    assert shown.smoothing == 0  # the rate is the mean of all since the start, evaluations included
    bar._training_finally()
    lines = capsys.readouterr().err.replace("\r", "\n").split("\n")
    assert lines[0] == "12 posts"
    assert "Training, epoch 3 of 4: dev F1 50.0" in lines
    assert "Training, epoch 4 of 4: " in lines  # a lone score is the training loss
