"""The calibration script: its error by hand, and a run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibration
from flair_espvr import ESPVRTagger


def test_the_error_is_the_distance_of_score_and_precision() -> None:
    right = np.array([[0.5, index % 2] for index in range(100)])
    assert calibration.expected_calibration_error(right) == pytest.approx(0)
    too_sure = right + np.array([0.25, 0])
    assert calibration.expected_calibration_error(too_sure) == pytest.approx(0.25)


def test_a_table(
    build: Callable[..., ESPVRTagger], corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tagger = build()
    tagger.network.tag_emissions.bias.data[0] -= 5
    tagger.save(tmp_path / "model.pt")
    if not (corpus_folder / "captions.tsv").exists():
        (corpus_folder / "captions.tsv").write_text("")
    calibration.main([str(corpus_folder), str(tmp_path / "model.pt")])
    tables = capsys.readouterr().out.split("\n\n")
    models, *scores = [
        [line.split(" | ") for line in table.splitlines() if "model.pt" in line or " to " in line] for table in tables
    ]
    assert [row[0].rpartition("model.pt: ")[2].partition(",")[0] for row in models] == ["as trained", "calibrated"]
    assert models[0][1] == models[1][1]
    assert [sum(int(row[1]) for row in rows) for rows in scores] == 2 * [int(models[0][1])]
