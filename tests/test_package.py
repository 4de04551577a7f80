"""The public names, and what importing and asking for help may cost."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import flair_espvr
from flair_espvr.commands.main import main


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"flair-espvr {flair_espvr.__version__}\n"
    assert flair_espvr.__version__ == version("flair-espvr")


def test_an_error_gives_the_terminal_no_orders(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", str(tmp_path / "\x1b]0;owned\x07")]) == 1
    assert "\x1b" not in (shown := capsys.readouterr().err)
    assert r"\x1b]0;owned\x07" in shown


def test_every_public_name_is_there() -> None:
    assert set(flair_espvr.__all__) <= set(dir(flair_espvr))
    for name in flair_espvr.__all__:
        thing = getattr(flair_espvr, name)
        assert getattr(thing, "__name__", name) == name


def test_asking_for_help_imports_neither_flair_nor_torch() -> None:
    code = """
import sys
from flair_espvr.commands.main import main
try:
    main(["--help"])
except SystemExit:
    pass
print([name for name in ("flair", "torch", "timm", "transformers") if name in sys.modules])
"""
    assert python(code).splitlines()[-1] == "[]"


def test_models_are_known_to_flair_where_flair_was_imported_first() -> None:
    code = """
import flair.nn, flair_espvr
from flair.class_utils import get_non_abstract_subclasses
print("ESPVRTagger" in {model.__name__ for model in get_non_abstract_subclasses(flair.nn.Classifier)})
"""
    assert python(code).splitlines()[-1] == "True"


def test_text_alone_calls_no_image_library() -> None:
    code = """
import sys
import flair_espvr.models
print("timm" in sys.modules)
"""
    assert python(code).splitlines()[-1] == "False"


def test_modules_log_below_flair_under_the_name_of_their_room() -> None:
    root = Path(flair_espvr.__file__).parent
    named = {
        (file.relative_to(root).parts[0], name)
        for file in root.rglob("*.py")
        for name in re.findall(r"^\w+ = logging\.getLogger\((.*)\)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named
    assert all(name == f'"flair.espvr.{room}"' for room, name in named)
