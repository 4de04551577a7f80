"""The calibration script: its error by hand, and a run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibration
from flair_espvr import ESPVRTagger, MultimodalCorpus
from flair_espvr.data.bio import bio_tags
from flair_espvr.data.sentences import sentence_entities


@pytest.fixture
def too_sure(build: Callable[..., ESPVRTagger], tmp_path: Path) -> ESPVRTagger:
    """A tagger that finds entities without having learned any, in `model.pt`."""
    tagger = build()
    tagger.network.tag_emissions.bias.data[0] -= 5
    tagger.save(tmp_path / "model.pt")
    return tagger


def test_the_error_is_the_distance_of_score_and_precision() -> None:
    right = np.array([[0.5, index % 2] for index in range(100)])
    assert calibration.expected_calibration_error(right) == pytest.approx(0)
    too_sure = right + np.array([0.25, 0])
    assert calibration.expected_calibration_error(too_sure) == pytest.approx(0.25)


@pytest.mark.usefixtures("too_sure")
def test_a_table(corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibration.main([str(corpus_folder), str(tmp_path / "model.pt")])
    tables = capsys.readouterr().out.split("\n\n")
    models, *scores = [
        [line.split(" | ") for line in table.splitlines() if "model.pt" in line or " to " in line] for table in tables
    ]
    assert [row[0].rpartition("model.pt: ")[2].partition(",")[0] for row in models] == ["as trained", "calibrated"]
    assert models[0][1] == models[1][1]
    assert [sum(int(row[1]) for row in rows) for rows in scores] == 2 * [int(models[0][1])]


def test_the_temperature_of_one_corpus_is_read_on_another(
    too_sure: ESPVRTagger, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Types of the files may have other names than the models know."""
    other = shutil.copytree(corpus_folder, tmp_path / "other")
    agreeing = list(MultimodalCorpus(corpus_folder, captions=corpus_folder / "captions.tsv").dev)
    too_sure.predict(agreeing, label_name="predicted")
    blocks = []
    for post in agreeing:
        tags = bio_tags(len(post), sentence_entities(post, "predicted"))
        blocks.append("\n".join(f"{token.text}\t{tag}" for token, tag in zip(post, tags, strict=True)))
        blocks[-1] = blocks[-1].replace("PER", "HUMAN")
    (other / "valid.txt").write_text("\n\n".join(f"IMGID:0\n{block}" for block in blocks) + "\n", encoding="utf-8")
    printed = {}
    for read in (None, other):
        reading = ["--read", str(read), "--renamed", "HUMAN=PER"] if read else []
        calibration.main([str(corpus_folder), str(tmp_path / "model.pt"), *reading])
        table = capsys.readouterr().out.partition("\n\n")[0]
        rows = [line.strip("| ").split(" | ") for line in table.splitlines() if "model.pt" in line]
        printed[read] = [(row[0].rpartition("model.pt: ")[2].rpartition(", "), row[1:]) for row in rows]
    raw_alone, alone = printed[None]
    raw, here, there = printed[other]
    assert here == alone, "the same test posts, and the temperature of the first folder's development posts"
    assert there[0][0] == "calibrated on the corpus read"
    assert float(there[0][2]) < 1 < float(here[0][2]), "posts that agree with the model make it surer"
    assert raw == raw_alone


def test_a_new_name_without_a_type_is_refused(corpus_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        calibration.main([str(corpus_folder), "model.pt", "--renamed", "MISC"])
    assert "'MISC' should be TYPE=NAME" in capsys.readouterr().err
