"""Flair models that tag entities from text and pictures."""

from flair_espvr.models.espvr_tagger import ESPVRTagger
from flair_espvr.models.model_card import ModelFacts
from flair_espvr.models.multimodal_tagger import MultimodalTagger

__all__ = ["ESPVRTagger", "ModelFacts", "MultimodalTagger"]
