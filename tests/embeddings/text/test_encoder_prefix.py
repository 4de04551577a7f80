"""A prefix in the attention of real encoders of transformers, against attention computed by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Sentence
from torch import Tensor
from transformers import AutoConfig, AutoModel, DistilBertConfig, DistilBertModel

from flair_espvr import CaptionedTransformerEmbeddings
from flair_espvr.embeddings.text.encoder_prefix import PREFIXABLE, attention_shape, prefix_inputs
from flair_espvr.errors import ConfigurationError
from flair_espvr.nn.layers.visual_prefix import EncoderPrefix

SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
POSTS, PIECES, POSITIONS = 3, 5, 4
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
SEEN = torch.tensor([[True] * 4, [False] * 4, [True, True, False, False]])


def encoder(kind: str, **arguments: Any) -> Any:
    config = AutoConfig.for_model(kind, vocab_size=20, max_position_embeddings=16, **SIZES, **arguments)
    return AutoModel.from_config(config).double().eval()


def random_prefix(mask: Tensor = SEEN) -> EncoderPrefix:
    return EncoderPrefix(torch.randn(2, 2, POSTS, 2, POSITIONS, 4).double(), mask)


def states(model: Any, ids: Tensor, prefix: EncoderPrefix | None) -> Tensor:
    inputs = {"attention_mask": MASK} if prefix is None else prefix_inputs(prefix, MASK)
    return model(ids, **inputs).last_hidden_state.masked_fill(MASK[:, :, None] == 0, 0.0)


@pytest.mark.parametrize("kind", PREFIXABLE)
def test_every_named_encoder_reads_a_prefix_and_keeps_its_positions(kind: str) -> None:
    model, ids = encoder(kind), torch.randint(5, 20, (POSTS, PIECES))
    without, behind = states(model, ids, None), states(model, ids, random_prefix())
    assert attention_shape(model).layers == 2
    torch.testing.assert_close(behind[1], without[1])  # a post without a picture: nothing moved, nothing was read
    assert not torch.allclose(behind[0], without[0], atol=1e-6)
    torch.testing.assert_close(states(model, ids, random_prefix(torch.zeros_like(SEEN))), without)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_states_and_gradients_are_those_of_attention_by_hand(attention: str) -> None:
    model, ids = encoder("bert", attn_implementation=attention), torch.randint(5, 20, (POSTS, PIECES))
    prefix = random_prefix()
    prefix.states.requires_grad_()
    out = states(model, ids, prefix)
    part = torch.randn_like(out)
    slow = torch.zeros(())
    for post in range(POSTS):
        count = int(MASK[post].sum())
        hidden = model.embeddings(ids[post : post + 1, :count])[0]
        for number, layer in enumerate(model.encoder.layer):
            hidden = by_hand(layer, hidden, *prefix.states[number, :, post][:, :, SEEN[post]])
        torch.testing.assert_close(out[post, :count], hidden, rtol=1e-5, atol=1e-5)
        slow = slow + (hidden * part[post, :count]).sum()
    (mine,), (other,) = (torch.autograd.grad(total, [prefix.states]) for total in ((out * part).sum(), slow))
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def by_hand(layer: Any, hidden: Tensor, past_keys: Tensor, past_values: Tensor) -> Tensor:
    """One layer of a BERT over words (S, D), word by word, head by head."""
    attention = layer.attention.self
    rows = []
    for word in hidden:
        heads = []
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            query = attention.query(word)[part]
            keys = torch.cat([past_keys[head], attention.key(hidden)[:, part]])
            values = torch.cat([past_values[head], attention.value(hidden)[:, part]])
            shares = torch.stack([query @ key / math.sqrt(4) for key in keys]).softmax(dim=0)
            heads.append(sum(share * value for share, value in zip(shares, values, strict=True)))
        output = layer.attention.output
        middle = output.LayerNorm(word + output.dense(torch.cat(heads)))
        expanded = torch.nn.functional.gelu(layer.intermediate.dense(middle))
        rows.append(layer.output.LayerNorm(middle + layer.output.dense(expanded)))
    return torch.stack(rows)


def test_words_read_a_prefix_behind_which_nothing_else_changes(tiny_bert: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert)).eval()
    posts = [Sentence("hi ada"), Sentence("no")]
    shape = embeddings.attention_shape
    sizes = (shape.layers, 2, 2, shape.heads, 3, shape.head_size)
    prefix = EncoderPrefix(torch.randn(sizes), torch.tensor([[True] * 3, [False] * 3]))
    plain, behind = embeddings.embed_batch(posts), embeddings.embed_prefixed(posts, prefix)
    torch.testing.assert_close(behind[1], plain[1])
    assert not torch.allclose(behind[0], plain[0], atol=1e-5)
    torch.testing.assert_close(embeddings.embed_prefixed(posts, None), plain)


def test_what_reads_no_prefix_is_named(tiny_bert: Path) -> None:
    other = DistilBertModel(DistilBertConfig(vocab_size=9, dim=8, n_heads=2, n_layers=1, hidden_dim=8))
    with pytest.raises(ConfigurationError, match=r"'distilbert' reads no prefix .* use one of bert, camembert"):
        attention_shape(other)
    frozen = CaptionedTransformerEmbeddings(str(tiny_bert), fine_tune=False)
    with pytest.raises(ConfigurationError, match="fine_tune=True"):
        _ = frozen.attention_shape
