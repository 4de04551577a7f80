"""Encoders that a model file may hold: their own parameters are all that is read, and lose nothing."""

from typing import Any

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

from flair_espvr.errors import ConfigurationError
from flair_espvr.models.files.embedding_state import _ENCODERS, _encoder_settings


@pytest.mark.parametrize("kind", sorted(_ENCODERS))
def test_the_parameters_of_a_type_say_all_of_its_config(kind: str) -> None:
    config = CONFIG_MAPPING[kind](pad_token_id=5)
    settings = _encoder_settings(config.to_dict())
    assert settings.pop("model_type") == kind
    assert CONFIG_MAPPING[kind](**settings).to_dict() == config.to_dict()
    assert kind in MODEL_MAPPING_NAMES


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        ("albert", "num_hidden_layers", 10**9),  # which share their weights
        ("longformer", "attention_window", 10**9),  # to whose multiples posts are padded
        ("longformer", "attention_window", [512, 10**9]),
    ],
)
def test_numbers_that_weights_do_not_bound_are(kind: str, setting: str, value: Any) -> None:
    good = CONFIG_MAPPING[kind]().to_dict()
    assert _encoder_settings(good)
    with pytest.raises(ConfigurationError, match="at most"):
        _encoder_settings({**good, setting: value})


def test_no_file_starts_a_compiler() -> None:
    assert "reference_compile" not in _encoder_settings({"model_type": "modernbert", "reference_compile": True})
