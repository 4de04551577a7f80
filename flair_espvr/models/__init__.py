"""Flair models that tag entities from text and images."""

from flair_espvr.models.adacan import AdaCANTagger
from flair_espvr.models.espvr import ESPVRTagger
from flair_espvr.models.files.model_card import ModelFacts
from flair_espvr.models.gvatt import GVATTTagger
from flair_espvr.models.hvpnet import HVPNeTTagger
from flair_espvr.models.ita import ITATagger
from flair_espvr.models.m3s import M3STagger
from flair_espvr.models.maf import MAFTagger
from flair_espvr.models.mgcmt import MGCMTTagger
from flair_espvr.models.registry import list_models, register_model
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.models.uamner import UAMNerTagger
from flair_espvr.models.umgf import UMGFTagger
from flair_espvr.models.umt import UMTTagger

DEFAULT_MODEL = "espvr"
"""The model that a recipe means where it names none."""

__all__ = [
    "DEFAULT_MODEL",
    "AdaCANTagger",
    "ESPVRTagger",
    "GVATTTagger",
    "HVPNeTTagger",
    "ITATagger",
    "M3STagger",
    "MAFTagger",
    "MGCMTTagger",
    "ModelFacts",
    "MultimodalTagger",
    "UAMNerTagger",
    "UMGFTagger",
    "UMTTagger",
    "list_models",
    "register_model",
]
