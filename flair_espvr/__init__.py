"""Multimodal named entity recognition in Flair: text and picture in, entities with types, scores and regions out."""

import importlib
import sys
from typing import TYPE_CHECKING

from flair_espvr.lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from flair_espvr.data import (
        POSTS,
        TWITTER_2015,
        TWITTER_2017,
        TWITTER_GMNER,
        MultimodalCorpus,
        PictureObject,
        Region,
    )
    from flair_espvr.embeddings import CaptionedTransformerEmbeddings, ImageRegionEmbeddings
    from flair_espvr.errors import EspvrError
    from flair_espvr.io.packaged import EFFICIENTNET_LITE0, MINILM_L6
    from flair_espvr.models import (
        AdaCANTagger,
        ESPVRTagger,
        GVATTTagger,
        HVPNeTTagger,
        ITATagger,
        M3STagger,
        MAFTagger,
        MGCMTTagger,
        ModelFacts,
        MultimodalTagger,
        UAMNerTagger,
        UMGFTagger,
        UMTTagger,
        list_models,
        register_model,
    )
    from flair_espvr.report import entity_figure
    from flair_espvr.tagging import DynamicBatcher, tag_posts

_HOMES = {
    "EFFICIENTNET_LITE0": "io.packaged",
    "MINILM_L6": "io.packaged",
    "POSTS": "data",
    "TWITTER_2015": "data",
    "TWITTER_2017": "data",
    "TWITTER_GMNER": "data",
    "AdaCANTagger": "models",
    "CaptionedTransformerEmbeddings": "embeddings",
    "DynamicBatcher": "tagging",
    "ESPVRTagger": "models",
    "EspvrError": "errors",
    "GVATTTagger": "models",
    "HVPNeTTagger": "models",
    "ITATagger": "models",
    "ImageRegionEmbeddings": "embeddings",
    "M3STagger": "models",
    "MAFTagger": "models",
    "ModelFacts": "models",
    "MultimodalCorpus": "data",
    "MGCMTTagger": "models",
    "MultimodalTagger": "models",
    "PictureObject": "data",
    "Region": "data",
    "UAMNerTagger": "models",
    "UMGFTagger": "models",
    "UMTTagger": "models",
    "entity_figure": "report",
    "list_models": "models",
    "register_model": "models",
    "tag_posts": "tagging",
}

__all__ = [
    "EFFICIENTNET_LITE0",
    "MINILM_L6",
    "POSTS",
    "TWITTER_2015",
    "TWITTER_2017",
    "TWITTER_GMNER",
    "AdaCANTagger",
    "CaptionedTransformerEmbeddings",
    "DynamicBatcher",
    "ESPVRTagger",
    "EspvrError",
    "GVATTTagger",
    "HVPNeTTagger",
    "ITATagger",
    "ImageRegionEmbeddings",
    "M3STagger",
    "MAFTagger",
    "MGCMTTagger",
    "ModelFacts",
    "MultimodalCorpus",
    "MultimodalTagger",
    "PictureObject",
    "Region",
    "UAMNerTagger",
    "UMGFTagger",
    "UMTTagger",
    "entity_figure",
    "list_models",
    "register_model",
    "tag_posts",
]


# Flair takes seconds, and `flair-espvr --help` needs none of it.
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

if "flair" in sys.modules:
    # Flair finds models and embeddings by their class: where it is in use, ours must be known to it from the start.
    importlib.import_module(f"{__name__}.models")
