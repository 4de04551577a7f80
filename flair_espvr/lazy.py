"""Packages whose public names are imported on first use, so that what needs no Flair does not wait for it."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a module-level `__getattr__` and `__dir__` (PEP 562) for a package.

    Type checkers do not see through it: the package imports the same names under `TYPE_CHECKING` as well.

    Args:
        package: the package's `__name__`.
        homes: public name -> the module of the package that defines it.
    """

    def imported(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return imported, listed
