"""What is wrong in a recipe or a table, in words: place, what was given, what is allowed, what was perhaps meant."""

import difflib
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flair_espvr.errors import ConfigurationError

Checked = TypeVar("Checked", bound=BaseModel)

_TYPE = "type"


def validate(kind: type[Checked], content: Any, *, source: str) -> Checked:
    """`content` as a `kind`.

    Args:
        kind: a model of sections.
        content: plain values.
        source: what the content is called in the error, usually its file.

    Raises:
        ConfigurationError: it does not fit; the message lists every mistake with its dotted path.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        # A list is also called too short where its items are wrong; those are reported already.
        details = [detail for detail in error.errors() if detail["type"] != "too_short" or not detail["input"]]
        mistakes = [describe(kind, detail) for detail in details]
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise ConfigurationError("\n  ".join([f"{source}: {count}:", *mistakes])) from None


def describe(kind: type[BaseModel], detail: Any) -> str:
    """One line on one mistake.

    Args:
        kind: the model that the content was checked against.
        detail: one of pydantic's `ValidationError.errors()`.
    """
    place, known = _locate(kind, detail["loc"])
    given = f"given {detail['input']!r:.60}"
    match detail["type"]:
        case "extra_forbidden":
            nearest = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(known)}"
            return f"{place}: unknown key; {hint}"
        case "missing":
            return f"{place}: missing"
        case "union_tag_invalid":
            return f"{place}.{_TYPE}: expected one of {detail['ctx']['expected_tags']}, given {detail['ctx']['tag']!r}"
        case "too_short":
            return f"{place}: expected at least {detail['ctx']['min_length']}, {given}"
        case "value_error":
            return f"{place}: {detail['ctx']['error']}"
    message = detail["msg"]
    return f"{place}: {message[0].lower()}{message[1:]}, {given}"


def _locate(kind: type[BaseModel], location: Sequence[int | str]) -> tuple[str, list[str]]:
    """Return the dotted path that a user would write, and the keys that are known beside its last one.

    pydantic puts the chosen `type` of a section into the location, which is no key of the file.
    """
    names: list[str] = []
    models, known = [kind], list(kind.model_fields)
    for part in location:
        chosen = [model for model in models if part in _type_names(model)]
        if chosen and len(models) > 1:
            models = chosen
        else:
            names.append(str(part))
            known = [name for model in models for name in model.model_fields]
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            # A place in a list, or a key of a free mapping, leads to no other field.
            models = [found for field in fields for found in _models(field.annotation)] or models
    return ".".join(names) or "the whole", list(dict.fromkeys(known))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _type_names(model: type[BaseModel]) -> tuple[str, ...]:
    field = model.model_fields.get(_TYPE)
    return () if field is None else typing.get_args(field.annotation)
