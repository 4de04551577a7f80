"""Which models there are, by name: those of this package, and those that other packages bring.

A model is a subclass of `MultimodalTagger` under `@register_model("name")`. A package of its own names the module that
registers it in the entry point group `flair_espvr.models`, and needs no import by hand.
"""

import functools
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, TypeVar

from flair_espvr.errors import ConfigurationError

ENTRY_POINTS = "flair_espvr.models"

_models: dict[str, type[Any]] = {}
"""Subclasses of `MultimodalTagger`, which asks this module what there is and so cannot be named in it."""

_Model = TypeVar("_Model", bound=type[Any])


def register_model(name: str) -> Callable[[_Model], _Model]:
    """Make a subclass of `MultimodalTagger` known under a name: to recipes, files, tables and tests.

    Args:
        name: What a recipe calls it, `model: {type: name}`.

    Raises:
        ConfigurationError: Another class has this name, or another model has the class's name, by which model files
            tell what they hold.
    """

    def register(model: _Model) -> _Model:
        for other_name, other in _models.items():
            same_class = (other.__module__, other.__qualname__) == (model.__module__, model.__qualname__)
            if same_class and other_name == name:
                continue  # a notebook's cell that is run again
            if other_name == name or other.__name__ == model.__name__:
                raise ConfigurationError(
                    f"register_model({name!r}): {model.__module__}.{model.__name__} cannot stand beside the model "
                    f"{other_name!r}, {other.__module__}.{other.__name__}: names of models and of their classes are "
                    "unique"
                )
        _models[name] = model
        return model

    return register


def list_models() -> list[str]:
    """Return the names of all models, in alphabetical order."""
    _load_all()
    return sorted(_models)


def model_class(name: str) -> type[Any]:
    """Return the class of a model, a subclass of `MultimodalTagger`.

    Raises:
        ConfigurationError: There is none of this name.
    """
    _load_all()
    if name not in _models:
        raise ConfigurationError(f"model {name!r}: there is no such model; choose one of {', '.join(list_models())}")
    return _models[name]


def model_of_class(class_name: str) -> type[Any] | None:
    """Return the model whose class has this name, which is how files say what they hold; None where there is none."""
    _load_all()
    return next((model for model in _models.values() if model.__name__ == class_name), None)


@functools.cache
def _load_all() -> None:
    import flair_espvr.models  # noqa: F401 - registers those of this package

    for point in entry_points(group=ENTRY_POINTS):
        point.load()
