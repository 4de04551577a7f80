"""The speed scripts run, on a tiny encoder, and print tables; what they measure is not tested."""

from pathlib import Path

import pytest
import torch

from benchmarks import measuring
from benchmarks.speed import allocator, callers, compiling, crf, parts, predict, reading, scaling, training
from benchmarks.speed.posts import give_pictures, written_posts
from benchmarks.speed.subjects import balance, espvr_tagger, predicted_batches
from benchmarks.speed.table import rows_of


@pytest.fixture
def tiny_encoder(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (allocator, callers, compiling, parts, predict, reading, scaling, training):
        monkeypatch.setattr(module, "encoder_folder", lambda *_: str(tiny_bert))
    return tiny_bert


def table(printed: str) -> list[list[str]]:
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


def test_ratios_are_taken_round_by_round() -> None:
    measured = {
        "base": measuring.Timing(wall=[1.0, 2.0, 4.0], cpu=[1.0, 1.0, 1.0]),
        "ours": measuring.Timing(wall=[2.0, 2.0, 2.0], cpu=[3.0, 3.0, 3.0]),
    }
    row = rows_of("case", measured, threads=1)[1]
    assert row == "| 1 | case: ours | 2e+03 (2e+03 to 2e+03) | 3e+03 (3e+03 to 3e+03) | 1 (0.5 to 2) | 3 (3 to 3) |"


@pytest.mark.parametrize("setting", ["text", "pictures", "flair", "single", "evaluate", "fine-regions"])
def test_predict(tiny_encoder: Path, capsys: pytest.CaptureFixture[str], setting: str) -> None:
    predict.main(["--posts", "4", "--rounds", "1", "--threads", "1", "--settings", setting])
    rows = table(capsys.readouterr().out)
    assert {row[1].partition(":")[0] for row in rows} == {setting}
    assert rows[0][4].startswith("1 ")


def test_callers(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    callers.main(
        ["--posts", "4", "--rounds", "1", "--threads", "1", "--settings", "text", "pictures", "--callers", "1", "2"]
    )
    assert len(table(capsys.readouterr().out)) == 2 * 2 * 3


def test_training(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training.main(["--posts", "3", "--rounds", "1", "--threads", "1"])
    assert len(table(capsys.readouterr().out)) == 3 + 4 + 2 + 2 + 2 + 2


def test_allocator(tiny_encoder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "measured", lambda *_: list(allocator.measure(3, None)))  # in this process
    allocator.main(["--rounds", "2"])
    assert [row[0] for row in table(capsys.readouterr().out)] == list(allocator.SIDES)


def test_reading(tiny_encoder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    reading.main([str(tmp_path), "--posts", "33", "--others", "2", "--rounds", "1", "--threads", "1"])
    assert [row[0] for row in table(capsys.readouterr().out)] == ["in memory", "on disk", "on disk, read ahead"]


def test_compiling(tiny_encoder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: None)  # it takes half a minute and a C++ compiler
    compiling.main(["--posts", "3", "--rounds", "1", "--threads", "1"])
    assert len(table(capsys.readouterr().out)) == 2 + 1 + 3 + 2


def test_crf(capsys: pytest.CaptureFixture[str]) -> None:
    crf.main(["--size", "3", "6", "5", "--rounds", "1", "--threads", "1"])
    assert len(table(capsys.readouterr().out)) == 3 + 4


def test_scaling(tiny_encoder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "LENGTHS", (1, 3))
    monkeypatch.setattr(scaling, "GRIDS", (7,))
    monkeypatch.setattr(scaling, "ENTITIES", (0, 2))
    scaling.main(["--posts", "3", "--rounds", "1", "--threads", "1"])
    assert len(table(capsys.readouterr().out)) == 2 + len(scaling.BATCHES) + 2 + 1


def test_parts_add_up(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts.main(["--posts", "4", "--rounds", "1", "--threads", "1", "--pictures"])
    shares = {row[0]: float(row[2].rstrip("%")) for row in table(capsys.readouterr().out)}
    outer = sum(share for name, share in shares.items() if name != "all" and not name.startswith("-"))
    assert outer == pytest.approx(100, abs=1)


def test_an_untrained_tagger_is_made_to_find_as_much_as_there_is(tmp_path: Path, tiny_bert: Path) -> None:
    posts = written_posts(8)
    tagger = espvr_tagger(str(tiny_bert), give_pictures(posts, tmp_path / "pictures", grid=(2, 2), dim=8), window=1)
    balance(tagger, posts)
    batches = predicted_batches(tagger, posts, mini_batch_size=3)
    assert sorted(map(len, batches)) == [2, 3, 3]
    assert sum(len(post.get_spans("ner")) for post in posts) > 0
