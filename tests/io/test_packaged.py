"""Names of files in installed packages: nothing is imported to find them, nothing outside of the package is found."""

import sys
from pathlib import Path

import pytest

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.packaged import resolve_packaged


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a subpackage, whose code leaves a trace when it is imported."""
    folder = tmp_path / "site" / "weights_of_ours"
    (folder / "sub" / "model").mkdir(parents=True)
    for part in (folder, folder / "sub"):
        (part / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    (tmp_path / "site" / "private.txt").write_text("private")
    (tmp_path / "site" / "module_of_ours.py").write_text("")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.chdir(folder.parent)  # what a built-in module's path would be relative to
    return folder


def test_a_file_of_a_package_is_found_without_importing_it(package: Path, tmp_path: Path) -> None:
    assert resolve_packaged("package:weights_of_ours/sub/model") == str(package / "sub" / "model")
    assert resolve_packaged("bert-base-uncased") == "bert-base-uncased"
    assert "weights_of_ours" not in sys.modules
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights_of_ours.sub/model", "one name"),
        ("weights_of_ours.absent/model", "one name"),
        (".sub/model", "one name"),
        ("/model", "one name"),
        ("weights_of_ours/../private.txt", "inside"),
        ("weights_of_ours/sub/../../private.txt", "inside"),
        ("weights_of_ours//etc/passwd", "inside"),
        ("weights_of_ours/absent", "has no absent"),
        ("weights_of_ours/" + "x" * 5_000, "has no xxx"),
        ("no_such_package/model", "not installed"),
        ("module_of_ours/private.txt", "not installed"),
        ("sys/private.txt", "not installed"),
        ("__main__/private.txt", "not installed"),
    ],
)
def test_what_leaves_the_package_or_is_none_is_refused(package: Path, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolve_packaged(f"package:{name}")
    assert not (tmp_path / "imported").exists()
