"""The quickstart on a corpus of a dozen posts, made on the spot, with the real weights of the `offline` extra."""

from pathlib import Path

import pytest

from flair_espvr import ESPVRTagger
from flair_espvr.commands.main import main
from flair_espvr.io import packaged
from resources.quickstart.make import write_quickstart


def test_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipes").mkdir()
    recipe = (packaged.packaged_folder("recipes") / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "recipes/quickstart.yaml").write_text(
        recipe.replace("max_epochs: 6", "max_epochs: 1"), encoding="utf-8"
    )
    write_quickstart(tmp_path / "resources/quickstart", splits={"train": 12, "valid": 2, "test": 4})
    monkeypatch.setattr(packaged, "packaged_folder", lambda name: tmp_path / name)

    assert main(["quickstart", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "with pictures" in printed
    assert "without pictures" in printed
    assert (tmp_path / "out/report.html").stat().st_size > 10_000
    tagger = ESPVRTagger.load(tmp_path / "out/model.pt")
    assert set(tagger.tags.types) <= {"PER", "LOC", "ORG", "MISC"}
