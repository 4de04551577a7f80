"""What docstrings show is what comes out, and every public name has one that the reference brings."""

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import flair_espvr

ROOT = Path(__file__).parents[1]
MODULES = [module.name for module in pkgutil.walk_packages(flair_espvr.__path__, "flair_espvr.")]
FILES = {name: Path(ROOT, *name.split(".")).with_suffix(".py") for name in MODULES}
WITH_EXAMPLES = [name for name, file in FILES.items() if file.is_file() and ">>>" in file.read_text(encoding="utf-8")]
ROOMS = [name for name, file in FILES.items() if not file.is_file()]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted
    assert not tried.failed


def public_names() -> list[tuple[str, str]]:
    """The names that the package and its rooms export, each with where it is exported from."""
    rooms = [importlib.import_module(name) for name in ["flair_espvr", *ROOMS]]
    return [(room.__name__, name) for room in rooms for name in getattr(room, "__all__", ())]


@pytest.mark.parametrize(("room", "name"), public_names())
def test_public_name_is_in_the_reference(room: str, name: str) -> None:
    reference = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    if room == "flair_espvr":  # one page names all, and leads to the room's page that describes each
        assert f".{name}`" in (ROOT / "docs" / "reference" / "package.md").read_text(encoding="utf-8")
    else:
        assert re.search(rf"automodule:: {re.escape(room)}\n   :members:\n   :imported-members:", reference)
    value = getattr(importlib.import_module(room), name)
    if isinstance(value, type) or callable(value):
        assert (value.__doc__ or "").strip()
        assert not undocumented(value)


def undocumented(value: object) -> list[str]:
    """The public methods and properties of a class of ours that say nothing, and inherit no words."""
    if not isinstance(value, type) or not value.__module__.startswith("flair_espvr"):
        return []
    return [
        name
        for name, member in vars(value).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
        if not any((getattr(vars(base).get(name), "__doc__", None) or "").strip() for base in value.__mro__)
    ]


def test_nothing_is_said_to_be_returned_where_nothing_is() -> None:
    nodes = [
        (file.name, node)
        for file in (ROOT / "flair_espvr").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) == "None"
    ]
    assert nodes
    said = [(name, node.name, ast.get_docstring(node) or "") for name, node in nodes]
    assert not [place for place in said if place[2].startswith(("Return ", "Yield "))]
