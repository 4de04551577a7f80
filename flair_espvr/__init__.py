"""Multimodal named entity recognition in Flair: text and picture in, entities with types, scores and regions out."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flair_espvr.data import POSTS, TWITTER_2015, TWITTER_2017, MultimodalCorpus, Region
    from flair_espvr.embeddings import CaptionedTransformerEmbeddings, ImageRegionEmbeddings
    from flair_espvr.errors import EspvrError
    from flair_espvr.models import ESPVRTagger

_HOMES = {
    "POSTS": "data",
    "TWITTER_2015": "data",
    "TWITTER_2017": "data",
    "CaptionedTransformerEmbeddings": "embeddings",
    "ESPVRTagger": "models",
    "EspvrError": "errors",
    "ImageRegionEmbeddings": "embeddings",
    "MultimodalCorpus": "data",
    "Region": "data",
}

__all__ = [
    "POSTS",
    "TWITTER_2015",
    "TWITTER_2017",
    "CaptionedTransformerEmbeddings",
    "ESPVRTagger",
    "EspvrError",
    "ImageRegionEmbeddings",
    "MultimodalCorpus",
    "Region",
]


def __getattr__(name: str) -> Any:
    """Imports a public name's module on first use: Flair takes seconds, and `flair-espvr --help` needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


if "flair" in sys.modules:
    # Flair finds models and embeddings by their class: where it is in use, ours must be known to it from the start.
    importlib.import_module(f"{__name__}.models")
