"""A corpus in which only the picture tells what a name is, and in which the named thing's place is known.

    python -m synthetic.scenes FOLDER

Every post bears a made-up name and a picture with one subject: a person (PER), a place (LOC), an organisation (ORG) or
a thing (MISC), drawn anew for each post, of any size, anywhere, on cluttered ground. Neither the name nor the sentence
tells which, and no picture and no word of a name occurs in two splits. `MultimodalCorpus(FOLDER)` reads the result;
`boxes.tsv` says where each subject is. The same seed makes the same corpus with the same versions of numpy and Pillow.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from flair_espvr.data.formats.columns import write_posts
from flair_espvr.data.post import Post
from flair_espvr.io.atomic import atomic_write
from synthetic.chance import pick
from synthetic.drawing import DRAWINGS, Box, draw_scene
from synthetic.names import made_up_names
from synthetic.sentences import PLAIN, UNTYPED, fill, typed_tail

BOXES = "boxes.tsv"
IMAGES = "images"
JPEG_QUALITY = 85


def write_scenes(
    folder: str | Path,
    *,
    train: int = 1200,
    valid: int = 150,
    test: int = 200,
    seed: int = 1,
    typed_share: float = 0.0,
    plain_share: float = 0.1,
) -> Path:
    """Write the corpus: `train.txt`, `valid.txt`, `test.txt`, `images/<id>.jpg` and, last of all, `boxes.tsv`.

    Args:
        folder: where; made if it does not exist.
        train, valid, test: number of posts in each split.
        seed: decides everything that is drawn or written.
        typed_share: share of posts that go on to name something whose type the text tells.
        plain_share: share of posts that name nothing, though there is something to see.

    Returns:
        the folder.
    """
    folder = Path(folder)
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = iter(made_up_names(rng, train + valid + test))
    boxes: list[str] = []
    with tqdm(total=train + valid + test, desc="Drawing scenes", unit="post") as progress:
        for split, count in (("train", train), ("valid", valid), ("test", test)):
            posts = []
            for image_id in (f"{split}_{number:04d}" for number in range(count)):
                post, picture, box = _scene_post(rng, image_id, next(names), typed_share, plain_share)
                with atomic_write(folder / IMAGES / f"{image_id}.jpg") as file:
                    file.write(picture)
                posts.append(post)
                boxes.append(f"{image_id}\t{box.left:.4f}\t{box.top:.4f}\t{box.right:.4f}\t{box.bottom:.4f}\n")
                progress.update()
            with atomic_write(folder / f"{split}.txt") as file:
                write_posts(posts, file)
    with atomic_write(folder / BOXES) as file:
        file.write("".join(boxes).encode())
    return folder


def read_boxes(folder: str | Path) -> dict[str, Box]:
    """Where each picture's subject is, by image id."""
    with open(Path(folder) / BOXES, encoding="utf-8") as file:
        rows = (line.rstrip("\n").split("\t") for line in file)
        return {image_id: Box(*map(float, edges)) for image_id, *edges in rows}


def _scene_post(
    rng: np.random.Generator, image_id: str, name: Sequence[str], typed_share: float, plain_share: float
) -> tuple[Post, bytes, Box]:
    entity_type = pick(rng, tuple(DRAWINGS))
    scene = draw_scene(entity_type, rng)
    template, names = pick(rng, UNTYPED), {"name": (name, entity_type)}
    if rng.random() < plain_share:
        template = pick(rng, PLAIN)
    elif rng.random() < typed_share:
        tail, known = typed_tail(rng)
        template, names = f"{template} {tail}", {**names, "known": known}
    words, tags = fill(template, names)
    file = io.BytesIO()
    scene.picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return Post(image_id, words, tags, line=0), file.getvalue(), scene.box


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=1200, metavar="POSTS")
    parser.add_argument("--valid", type=int, default=150, metavar="POSTS")
    parser.add_argument("--test", type=int, default=200, metavar="POSTS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--typed-share", type=float, default=0.0, metavar="SHARE", help="posts with a second, well-known name"
    )
    parser.add_argument("--plain-share", type=float, default=0.1, metavar="SHARE", help="posts without any name")
    print(write_scenes(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
