"""Write the quickstart's corpus: posts that we wrote, pictures that we drew.

    python -m resources.quickstart.make [FOLDER]

Four kinds of posts: names that only the picture types, names that the sentence types, names that the caption types, and
posts without a name. Some posts have no picture. No name and no picture occurs in two splits.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from flair_espvr.data.formats.columns import write_posts
from flair_espvr.data.post import Post
from flair_espvr.io.atomic import atomic_write
from synthetic.chance import pick
from synthetic.drawing import DRAWINGS, draw_scene
from synthetic.names import made_up_names
from synthetic.sentences import PLAIN, TYPED_SENTENCES, UNTYPED, fill

SEED = 7
SPLITS: Mapping[str, int] = {"train": 420, "valid": 40, "test": 80}
SIZE = (0.35, 0.65)
CLUTTER = (3, 9)
WEBP_QUALITY = 75

TAILS: Sequence[tuple[str, str]] = (
    (", photo by my friend {other}", "PER"),
    (", greetings from the town of {other}", "LOC"),
    (", thanks to the company {other}", "ORG"),
    (", and tonight the {other} festival", "MISC"),
)
"""What may follow an untyped sentence, with the type of the name in it."""

CLOSINGS = ("", "", "", "", "#throwback", "#nofilter", "#weekend", ":)", "❤", "haha", "...", "!!")

CAPTIONS: Mapping[str, str] = {
    "standing": "a person standing with arms at their sides",
    "waving": "a person raises a hand and waves",
    "running": "a person running",
    "portrait": "a smiling person from the chest up",
    "mountain": "mountains with snow on their tops",
    "lighthouse": "a striped lighthouse on a rock",
    "castle": "a stone castle with three towers",
    "bridge": "a bridge over water",
    "island": "an island with a palm tree",
    "badge": "a round company logo",
    "crest": "the crest of a club",
    "shop": "the front of a shop with an awning",
    "sign": "a billboard with a logo on it",
    "flag": "a flag with a logo on it",
    "trophy": "a trophy on a black base",
    "telephone": "a telephone with coloured buttons",
    "car": "a small car",
    "guitar": "an acoustic guitar",
    "rocket": "a rocket taking off",
}
"""What is to be seen, by the name of the drawing."""


@dataclass(frozen=True)
class Kind:
    """A kind of post: what share of all posts it makes up, and how often one has a picture and a caption."""

    share: float
    picture: float
    caption: float


KINDS: Mapping[str, Kind] = {
    "picture": Kind(share=0.6, picture=1.0, caption=0.0),
    "sentence": Kind(share=0.2, picture=0.6, caption=0.5),
    "caption": Kind(share=0.08, picture=1.0, caption=1.0),
    "plain": Kind(share=0.12, picture=0.6, caption=0.5),
}
"""By what types the name in the post, if anything does."""


def write_quickstart(folder: str | Path, *, splits: Mapping[str, int] = SPLITS, seed: int = SEED) -> None:
    """Write `<split>.txt` for each of `splits`, `captions.tsv` and `images/<id>.webp`.

    Args:
        folder: where; made if it does not exist.
        splits: number of posts by name of the split.
        seed: decides everything.
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = iter(made_up_names(np.random.default_rng(seed), 2 * sum(splits.values())))
    captions: list[str] = []
    for split_number, (split, count) in enumerate(splits.items()):
        posts = []
        for number in range(count):
            image_id = f"{split}_{number:03d}"
            rng = np.random.default_rng([seed, split_number, number])
            kind = tuple(KINDS)[rng.choice(len(KINDS), p=[kind.share for kind in KINDS.values()])]
            entity_type = pick(rng, tuple(DRAWINGS))
            posts.append(_post(rng, image_id, kind, entity_type, next(names), next(names)))
            if rng.random() < KINDS[kind].picture:
                scene = draw_scene(entity_type, rng, size=SIZE, clutter=CLUTTER)
                _write_picture(scene.picture, folder / "images" / f"{image_id}.webp")
                if rng.random() < KINDS[kind].caption:
                    captions.append(f"{image_id}\t{CAPTIONS[scene.subject]}\n")
        with atomic_write(folder / f"{split}.txt") as file:
            write_posts(posts, file)
    with atomic_write(folder / "captions.tsv") as file:
        header = json.dumps({"written by": "resources/quickstart/make.py"})
        file.write((f"# {header}\n" + "".join(captions)).encode())


def _post(
    rng: np.random.Generator, image_id: str, kind: str, entity_type: str, name: Sequence[str], other: Sequence[str]
) -> Post:
    names = {"name": (name, entity_type)}
    if kind == "plain":
        template = pick(rng, PLAIN)
    elif kind == "sentence":
        template = pick(rng, TYPED_SENTENCES[entity_type])
    else:
        template = pick(rng, UNTYPED)
        if rng.random() < 0.15:
            tail, other_type = pick(rng, TAILS)
            template, names = f"{template} {tail}", {**names, "other": (other, other_type)}
    closing = pick(rng, CLOSINGS)
    words, tags = fill(f"{template} {closing}", names)
    return Post(image_id, words, tags, line=0)


def _write_picture(picture: Image.Image, path: Path) -> None:
    with atomic_write(path) as file:
        picture.save(file, "WEBP", quality=WEBP_QUALITY, method=6)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent)
    write_quickstart(parser.parse_args(arguments).folder)


if __name__ == "__main__":
    main()
