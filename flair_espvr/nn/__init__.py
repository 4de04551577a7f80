"""Tensors to tensors: the parts of the model that know nothing of Flair.

Axis letters: B sentences, T words, M entities, R = H * W regions of a picture, D hidden size, L labels. Every mask is
bool with True for what is present. Padding, other rows and the size of the batch never change a prediction; of the
losses, those that compare the posts of a batch depend on it.

Names are imported on first use: recipes read the bounds of numbers here, and do not wait for torch.
"""

from typing import TYPE_CHECKING

from flair_espvr.lazy import lazy_names

if TYPE_CHECKING:
    from flair_espvr.nn.config import ModelConfig
    from flair_espvr.nn.crf.bio_crf import LinearChainCRF
    from flair_espvr.nn.features import ImageFeatures, ObjectFeatures
    from flair_espvr.nn.layers.cross_modal import CrossModalLayer
    from flair_espvr.nn.layers.fusion import GatedFusion, select_regions
    from flair_espvr.nn.layers.positioning import (
        RegionPositions,
        position_each_entity,
        position_regions,
        straight_through_weights,
        window_size,
    )
    from flair_espvr.nn.layers.self_attention import SelfAttentionStack
    from flair_espvr.nn.layers.spans import Spans, bio_spans, span_features
    from flair_espvr.nn.network import Network, NetworkOutput

_HOMES = {
    "CrossModalLayer": "layers.cross_modal",
    "GatedFusion": "layers.fusion",
    "ImageFeatures": "features",
    "LinearChainCRF": "crf.bio_crf",
    "ModelConfig": "config",
    "Network": "network",
    "NetworkOutput": "network",
    "ObjectFeatures": "features",
    "RegionPositions": "layers.positioning",
    "SelfAttentionStack": "layers.self_attention",
    "Spans": "layers.spans",
    "bio_spans": "layers.spans",
    "position_each_entity": "layers.positioning",
    "position_regions": "layers.positioning",
    "select_regions": "layers.fusion",
    "span_features": "layers.spans",
    "straight_through_weights": "layers.positioning",
    "window_size": "layers.positioning",
}

__all__ = [
    "CrossModalLayer",
    "GatedFusion",
    "ImageFeatures",
    "LinearChainCRF",
    "ModelConfig",
    "Network",
    "NetworkOutput",
    "ObjectFeatures",
    "RegionPositions",
    "SelfAttentionStack",
    "Spans",
    "bio_spans",
    "position_each_entity",
    "position_regions",
    "select_regions",
    "span_features",
    "straight_through_weights",
    "window_size",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
