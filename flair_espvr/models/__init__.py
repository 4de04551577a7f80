"""Flair models that tag entities from text and pictures."""

from flair_espvr.models.espvr import ESPVRTagger
from flair_espvr.models.files.model_card import ModelFacts
from flair_espvr.models.tagger import MultimodalTagger

__all__ = ["ESPVRTagger", "ModelFacts", "MultimodalTagger"]
