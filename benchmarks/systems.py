"""The rows of the tables of systems that look at pictures: which system, with what hyperparameters."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from benchmarks.noisy_objects import TYPE_WORDS
from benchmarks.training import espvr_sizes
from flair_espvr.models.registry import model_class


@dataclass(frozen=True)
class Configuration:
    """One row of the table.

    Attributes:
        pictures: what the row is called.
        model: the model's own hyperparameters.
        system: the model's name; `"espvr"` also takes the sizes of the command line.
        shuffled: give every post the picture of another post of its split, in training and in testing.
    """

    pictures: str
    model: Mapping[str, Any] = field(default_factory=dict)
    shuffled: bool = False
    system: str = "espvr"


PAPER: Mapping[str, Any] = MappingProxyType({"window_placement": "paper"})

CONFIGURATIONS: Mapping[str, Configuration] = MappingProxyType(
    {
        "none": Configuration("none", {"regions": "none"}),
        "shuffled": Configuration("shuffled between posts, positioned", PAPER, shuffled=True),
        "all": Configuration("all regions", {"regions": "all"}),
        "hard": Configuration("positioned, hard", {**PAPER, "positioning": "hard"}),
        "straight_through": Configuration("positioned, straight-through", PAPER),
        "centered": Configuration("positioned, straight-through, centered", {"window_placement": "centered"}),
        "umt": Configuration("UMT", system="umt"),
        "maf": Configuration("MAF", system="maf"),
        "gvatt": Configuration("GVATT over BERT", system="gvatt"),
        "gvatt_joint": Configuration("GVATT over BERT, joint attention", {"attention": "joint"}, system="gvatt"),
        "adacan": Configuration("AdaCAN over BERT", system="adacan"),
        "adacan_joint": Configuration("AdaCAN over BERT, joint attention", {"attention": "joint"}, system="adacan"),
        "ita": Configuration("ITA, no contexts", system="ita"),
        "umgf": Configuration("UMGF, noisy objects", system="umgf"),
        "mgcmt": Configuration("MGCMT, noisy objects", system="mgcmt"),
        "m3s": Configuration("M3S, an interpretation, noisy objects", system="m3s"),
        "uamner": Configuration("UAMNer, an interpretation", system="uamner"),
        "hvpnet": Configuration("HVPNeT", system="hvpnet"),
    }
)


def hyperparameters(chosen: Configuration, options: argparse.Namespace, words: Sequence[str]) -> dict[str, Any]:
    """Return those of a row's model that are not the model's own defaults.

    Args:
        chosen: the row.
        options: of the command.
        words: what the objects in pictures are called.
    """
    sizes = espvr_sizes(options) if chosen.system == "espvr" else {}
    fields = model_class(chosen.system).config_class.model_fields
    drawn = set(words) == set(TYPE_WORDS.values())  # UMGF's own type words are these
    labels = {"object_labels": tuple(words), **({} if drawn else {"type_words": tuple(words)})}
    return {**sizes, **{name: value for name, value in labels.items() if name in fields}, **chosen.model}
