"""A prefix in the self-attention of a transformer, by transformers' own mechanism for past keys and values."""

import torch
from transformers import DynamicCache, PreTrainedModel

from flair_espvr.errors import ConfigurationError
from flair_espvr.nn.layers.visual_prefix import AttentionShape, EncoderPrefix

PREFIXABLE = (
    "bert",
    "camembert",
    "data2vec-text",
    "electra",
    "ernie",
    "megatron-bert",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
)
"""Encoders whose attention reads past keys and values, by their `model_type`."""


class _Prefix(DynamicCache):
    """Keys and values that come before the words without taking up positions: the first word is at the first one."""

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0


def attention_shape(model: PreTrainedModel) -> AttentionShape:
    """Return the shape of an encoder's attention.

    Raises:
        ConfigurationError: the encoder cannot read a prefix.
    """
    config = model.config
    if config.model_type not in PREFIXABLE:
        raise ConfigurationError(
            f"an encoder of the type {config.model_type!r} reads no prefix in its attention: transformers has no past "
            f"keys and values for it; use one of {', '.join(PREFIXABLE)}"
        )
    heads = config.num_attention_heads
    return AttentionShape(config.num_hidden_layers, heads, config.hidden_size // heads)


def prefix_inputs(prefix: EncoderPrefix, attention_mask: torch.Tensor) -> dict[str, object]:
    """Return what an encoder is called with, besides its wordpieces, to read a prefix.

    Args:
        prefix: of B posts and P positions.
        attention_mask: (B,S), 1 on wordpieces.

    Returns:
        `past_key_values` and `attention_mask` (B,P+S).
    """
    past = _Prefix()
    for layer, (keys, values) in enumerate(prefix.states):
        past.update(keys, values, layer)
    return {
        "past_key_values": past,
        "attention_mask": torch.cat([prefix.mask.to(attention_mask.dtype), attention_mask], dim=1),
    }
