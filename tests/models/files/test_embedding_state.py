"""Encoders that a model file may hold: their own parameters are all that is read, and lose nothing."""

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

from flair_espvr.models.files.embedding_state import _ENCODERS, _encoder_settings


@pytest.mark.parametrize("kind", sorted(_ENCODERS))
def test_the_parameters_of_a_type_say_all_of_its_config(kind: str) -> None:
    config = CONFIG_MAPPING[kind](pad_token_id=5)
    settings = _encoder_settings(config.to_dict())
    assert settings.pop("model_type") == kind
    assert CONFIG_MAPPING[kind](**settings).to_dict() == config.to_dict()
    assert kind in MODEL_MAPPING_NAMES
