"""One's own detector or reader, named on the command line as `package.module:Class`."""

import importlib
from typing import Any

from flair_espvr.errors import ConfigurationError


def is_own(name: str) -> bool:
    """Whether a name is of the form `package.module:Class`."""
    module, colon, kind = name.partition(":")
    return bool(colon) and kind.isidentifier() and all(part.isidentifier() for part in module.split("."))


def own_annotator(name: str, method: str, *, key: str) -> tuple[Any, dict[str, Any]]:
    """Return an object of a class of one's own, and the settings for its file.

    Args:
        name: `package.module:Class`; the class is built without arguments. Where it has an attribute `settings`, a
            mapping of JSON values, these go into the file's first line too.
        method: what the class has to have.
        key: what the name is called in the settings.

    Raises:
        ConfigurationError: there is no such class, or it lacks the method.
    """
    module, _, kind = name.partition(":")
    try:
        annotator = getattr(importlib.import_module(module), kind)()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"{name}: there is no such class ({error}); install its package, or put its folder on PYTHONPATH"
        ) from error
    if not callable(getattr(annotator, method, None)):
        raise ConfigurationError(f"{name}: expected a class with a method {method}")
    return annotator, {key: name, **dict(getattr(annotator, "settings", {}))}
