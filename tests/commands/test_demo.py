"""`flair-espvr demo`: the Space that it writes, and what it says where it cannot serve. The page: tests/web."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flair_espvr import ESPVRTagger
from flair_espvr.commands.main import main


def test_without_gradio_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.startswith("flair_espvr.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo", str(tmp_path / "model.pt")]) == 1
    assert 'pip install "flair-espvr[demo]"' in capsys.readouterr().err


def test_a_space_is_written(
    build: Callable[..., ESPVRTagger], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gradio", reason="the demo extra (Gradio) is not installed")
    build(region_embeddings=None, regions="none").save(tmp_path / "model.pt")
    capsys.readouterr()
    assert main(["demo", str(tmp_path / "model.pt"), "--export", str(tmp_path / "space"), "--title", "Names"]) == 0
    written = capsys.readouterr().out.split()
    assert sorted(Path(path).name for path in written) == [
        ".gitattributes",
        "README.md",
        "app.py",
        "model.pt",
        "requirements.txt",
    ]
    assert 'title: "Names"' in (tmp_path / "space" / "README.md").read_text(encoding="utf-8")
