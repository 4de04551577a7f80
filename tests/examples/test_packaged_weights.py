"""The scripts that turn what packages bring into files that Flair and Transformers read, on tiny packages."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from flair.data import Sentence
from flair.embeddings import WordEmbeddings
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

Load = Callable[[str], ModuleType]


def write_package(folder: Path, words: list[str], vectors: NDArray[np.float32]) -> None:
    """Write words and vectors as the package of GloVe's brings them."""
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads the package's words, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    np.save(folder / "glove_6B_50d_emb.npy", vectors)
    parquet.write_table(pyarrow.table({"index": words}), folder / "glove_6B_index.parquet")


def looked_up_by_flair(words: list[str], target: Path) -> list[list[float]]:
    """Return what Flair's embeddings give each word out of the file."""
    pytest.importorskip("gensim", reason="gensim (the words extra), which reads vectors for Flair, is not installed")
    sentence = Sentence(words)
    embeddings = WordEmbeddings(str(target))
    embeddings.embed(sentence)
    return [token.get_embedding(embeddings.get_names()).tolist() for token in sentence]


def test_flair_reads_the_word_vectors_that_are_written(load_example: Load, tmp_path: Path) -> None:
    words, vectors = ["the", "caf\u00e9", ","], np.arange(6, dtype=np.float32).reshape(3, 2)
    write_package(tmp_path, words, vectors)
    target = tmp_path / "word-vectors" / "glove.bin"
    load_example("glove_vectors").unpack(tmp_path, target)

    assert target.read_bytes().startswith(b"3 2\nthe " + vectors[0].tobytes() + b"\ncaf\xc3\xa9 ")
    found = looked_up_by_flair(["The", "caf\u00e9", "unheard-of"], target)
    assert found == [*vectors[:2].tolist(), [0, 0]]


def test_vectors_of_some_texts_are_those_that_flair_would_look_up(load_example: Load, tmp_path: Path) -> None:
    words = ["the", "McGill", "mcgill", "##th", "0,000", "5th", "tower", "unrelated"]
    write_package(tmp_path, words, np.arange(len(words), dtype=np.float32)[:, None] + 1)
    text = "THE\tO\nMcGill\tB-ORG\nMCGILL\tB-ORG\n25th\tO\n5,125\tO\n5th\tO\nunheard-of\tO\n"
    script = load_example("glove_vectors")
    every, chosen = tmp_path / "every.bin", tmp_path / "chosen.bin"
    script.unpack(tmp_path, every)
    script.unpack(tmp_path, chosen, only=set(script.looked_up([text])))

    assert chosen.read_bytes().startswith(b"6 1\nthe ")
    assert b"tower" not in chosen.read_bytes()
    assert b"unrelated" not in chosen.read_bytes()
    found = looked_up_by_flair(text.split()[::2], chosen)
    assert found == looked_up_by_flair(text.split()[::2], every)
    assert found == [[1], [2], [3], [4], [5], [6], [0]]


def test_an_encoder_is_put_together_from_the_parts_of_its_archive(
    load_example: Load, tiny_mpnet: Path, tmp_path: Path
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for path in tiny_mpnet.iterdir():
            file.write(path, f"all-mpnet-base-v2/{path.name}")
        file.writestr("all-mpnet-base-v2/1_Pooling/config.json", "{}")
        file.writestr("all-mpnet-base-v2/modules.json", "[]")
    content = archive.getvalue()
    parts = [tmp_path / f"part.00{number}" for number in range(1, 6)]
    for number, part in enumerate(parts):
        part.write_bytes(content[len(content) * number // 5 : len(content) * (number + 1) // 5])
    script = load_example("mpnet_encoder")
    script.assemble(parts, tmp_path / "encoders" / "mpnet")

    made = {path.name for path in (tmp_path / "encoders" / "mpnet").iterdir()}
    assert made == script.FILES & {path.name for path in tiny_mpnet.iterdir()}
    one, other = (AutoModel.from_pretrained(folder) for folder in (tiny_mpnet, tmp_path / "encoders" / "mpnet"))
    assert all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(tmp_path / "encoders" / "mpnet").model_max_length == 32
