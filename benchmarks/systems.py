"""The rows of the tables of systems that look at pictures: which system, with what hyperparameters."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from benchmarks.damage import WHOLE, Damage
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
        training: what is done to the pictures of training and development posts, and not to those of test posts.
    """

    pictures: str
    model: Mapping[str, Any] = field(default_factory=dict)
    shuffled: bool = False
    system: str = "espvr"
    training: Damage = WHOLE

    @property
    def text_side(self) -> str:
        """Name of the row of the same system without pictures, which is tested without them."""
        return TEXT_SIDES.get(self.system, f"{self.system}_gone")


TEXT_SIDES: Mapping[str, str] = MappingProxyType({"espvr": "none", "ita": "ita"})
"""Rows that look at no picture, by the system that they are of; those of all others learn from posts without any."""

PAPER: Mapping[str, Any] = MappingProxyType({"window_placement": "paper"})

SYSTEMS: Mapping[str, Configuration] = MappingProxyType(
    {
        "none": Configuration("none", {"regions": "none"}),
        "shuffled": Configuration("shuffled between posts, positioned", PAPER, shuffled=True),
        "all": Configuration("all regions", {"regions": "all"}),
        "hard": Configuration("positioned, hard", {**PAPER, "positioning": "hard"}),
        "straight_through": Configuration("positioned, straight-through", PAPER),
        "centered": Configuration("positioned, straight-through, centered", {"window_placement": "centered"}),
        "each": Configuration("a centered window for each entity", {"window_of": "entity"}),
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

TRAININGS: Mapping[str, tuple[str, Damage]] = MappingProxyType(
    {
        "half": ("half of the pictures", Damage(missing=0.5)),
        "gone": ("no pictures", Damage(missing=1.0)),
        "shuffled": ("other posts' pictures", Damage(shuffled=True)),
    }
)
"""Damaged pictures to train with."""

CONFIGURATIONS: Mapping[str, Configuration] = MappingProxyType(
    {
        **SYSTEMS,
        **{
            f"{name}_{how}": replace(system, pictures=f"{system.pictures}, trained with {words}", training=damage)
            for name, system in SYSTEMS.items()
            if name not in TEXT_SIDES.values() and not system.shuffled
            for how, (words, damage) in TRAININGS.items()
        },
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
