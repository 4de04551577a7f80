"""Models by name: found, listed, and kept apart."""

import pytest

from flair_espvr import ESPVRTagger, list_models, register_model
from flair_espvr.errors import ConfigurationError
from flair_espvr.models.registry import model_class, model_of_class


def test_names_lead_to_classes_and_classes_to_names() -> None:
    assert list_models() == sorted(list_models())
    assert model_class("espvr") is ESPVRTagger
    assert all(model_of_class(model_class(name).__name__) is model_class(name) for name in list_models())
    assert model_of_class("NobodysTagger") is None


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no such model; choose one of .*espvr"):
        model_class("espvrr")


def test_names_and_class_names_are_unique() -> None:
    for name, kind in (("espvr", type("OtherTagger", (), {})), ("other", type("ESPVRTagger", (), {}))):
        with pytest.raises(ConfigurationError, match="names of models and of their classes are unique"):
            register_model(name)(kind)
    assert register_model("espvr")(ESPVRTagger) is ESPVRTagger  # a notebook's cell that is run again
