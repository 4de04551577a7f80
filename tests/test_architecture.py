"""The house keeps its shape: imports run one way, and no room names a model but the model's own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import flair_espvr
from flair_espvr import list_models
from flair_espvr.models.registry import model_class

PACKAGE = Path(flair_espvr.__file__).parent

FLOORS = [
    {"errors", "flair_compat", "lazy"},
    {"io"},
    {"images"},
    {"data"},
    {"nn"},
    {"annotators", "embeddings"},
    {"models"},
    {"evaluation", "report"},
    {"tagging"},
    {"training", "web"},
    {"commands"},
]
"""Rooms from the ground up: a room imports from those below it, and from its own."""

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it, other than for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    own = room(path)
    for module in imports(path):
        package, _, rest = module.partition(".")
        if package != "flair_espvr" or not rest:
            continue
        other = rest.partition(".")[0]
        assert other == own or floor(other) < floor(own), f"{path.name} imports {module}"


def test_networks_know_nothing_of_flair() -> None:
    for path in (PACKAGE / "nn").rglob("*.py"):
        assert not {name for name in imports(path) if name.partition(".")[0] in ("flair", "transformers", "timm")}, path


def test_ray_is_imported_by_its_back_end_alone() -> None:
    own = PACKAGE / "tagging" / "backends" / "ray.py"
    importing = {path for path in MODULES if "ray" in {name.partition(".")[0] for name in imports(path)}}
    assert importing == {own}


def words_of(path: Path) -> set[str]:
    """Names, attributes, imported modules and whole strings of a file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.Constant(value=str(name)):
                found.add(name)
            case ast.ImportFrom(module=str(name)):
                found.add(name.rpartition(".")[2])
    return found


@pytest.mark.parametrize("name", list_models())
def test_no_room_names_a_model_but_its_own(name: str) -> None:
    kind = model_class(name)
    names = {name, kind.__name__, kind.config_class.__name__, kind.network_class.__name__}
    own = {Path(part.replace(".", "/") + ".py") for part in (kind.__module__, kind.network_class.__module__)}
    own |= {Path(kind.config_class.__module__.replace(".", "/") + ".py"), Path("flair_espvr/models/__init__.py")}
    for path in MODULES:
        if path.relative_to(PACKAGE.parent) not in own:
            assert not words_of(path) & names, f"{path.relative_to(PACKAGE)} names {name}"
