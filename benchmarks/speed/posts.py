"""The posts that are timed: tweets where they are at hand, written ones elsewhere; their pictures are in a store."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from flair.data import Sentence

from benchmarks.store_costs import HEADER, random_store
from flair_espvr import ImageRegionEmbeddings, MultimodalCorpus
from flair_espvr.data.metadata import CAPTION, IMAGE
from flair_espvr.data.post import Post
from flair_espvr.data.sentences import post_sentence
from flair_espvr.images.loading import content_key
from synthetic.chance import pick
from synthetic.names import made_up_names
from synthetic.sentences import UNTYPED, fill, typed_tail


def load_posts(count: int, data: Path | None) -> list[Sentence]:
    """Labelled and captioned posts.

    Args:
        count: how many; of tweets, as many as the test split has at most.
        data: folder with `train.txt`, `valid.txt`, `test.txt` and `captions.tsv`, of which the test split is taken;
            None for written posts.
    """
    if data is None:
        return written_posts(count)
    return list(MultimodalCorpus(data, captions=data / "captions.tsv").test)[:count]


def written_posts(count: int) -> list[Sentence]:
    """Return posts of 5 to 20 words with one or two entities, and a caption of ten words."""
    rng = np.random.default_rng(0)
    sentences = []
    for name in made_up_names(rng, count):
        tail, known = typed_tail(rng)
        words, tags = fill(f"{pick(rng, UNTYPED)} {tail}", {"name": (name, "PER"), "known": known})
        sentence = post_sentence(Post(None, words, tags, line=0))
        sentence.add_metadata(CAPTION, "a man in a suit walks through a large crowd")
        sentences.append(sentence)
    return sentences


def give_pictures(
    sentences: Sequence[Sentence], folder: Path, *, grid: tuple[int, int] = (12, 12), dim: int = 1536
) -> ImageRegionEmbeddings:
    """Give every sentence a picture of its own, and random features of them all from a full store.

    The picture files are not pictures: with a full store nobody looks into them.

    Args:
        sentences: get the pictures' paths.
        folder: a new one, for pictures and store.
        grid: (H,W) of the regions.
        dim: Dv.
    """
    folder.mkdir()
    paths = [folder / f"{number}.jpg" for number in range(len(sentences))]
    for number, (path, sentence) in enumerate(zip(paths, sentences, strict=True)):
        path.write_text(f"picture {number}")
        sentence.add_metadata(IMAGE, path)
    header = replace(HEADER, grid=grid, dim=dim)
    with random_store(folder / "store", [content_key(path) for path in paths], header=header):
        return ImageRegionEmbeddings(store=folder / "store", read_only=True)
