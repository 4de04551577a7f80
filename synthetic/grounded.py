"""A corpus of posts whose names the picture shows, or does not, with the place of each in JSONL.

    python -m synthetic.grounded FOLDER

A post names one or two made-up or well-known persons (PER), places (LOC), organisations (ORG) or things (MISC). Each
is in the picture, once or several times and of any size, or it is not: then the sentence tells its type, as it does for
some that are shown, and the picture shows another type or nothing at all. So neither words nor picture alone tell
whether a name is shown. The type of all others is told by the picture alone. `POSTS(FOLDER, dev_file="valid.jsonl")`
reads the result. The same seed makes the same corpus with the same versions of numpy and Pillow.
"""

import argparse
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from flair_espvr.data.bio import lenient_entities
from flair_espvr.data.formats.records import record_line
from flair_espvr.io.atomic import atomic_write
from synthetic.chance import pick
from synthetic.drawing import DRAWINGS, Box, draw_subjects
from synthetic.names import made_up_names
from synthetic.scenes import IMAGES, JPEG_QUALITY
from synthetic.sentences import PLAIN, TYPED_SENTENCES, UNTYPED, fill, typed_tail

MOST = 3
"""How often a picture shows one entity at most."""


@dataclass(frozen=True)
class Shares:
    """What a corpus is made of.

    Attributes:
        absent: entities that the picture does not show.
        typed: first entities that are shown whose sentence tells their type.
        second: posts with an entity that go on to name a second, well-known one.
        several: shown entities that are there several times.
        plain: posts that name nothing.
        area: least and greatest part of the picture that an object covers.
    """

    absent: float = 0.4
    typed: float = 0.3
    second: float = 0.3
    several: float = 0.3
    plain: float = 0.1
    area: tuple[float, float] = (0.005, 0.6)


@dataclass
class _Entity:
    """A name, its type, and whether and where the picture shows it."""

    words: Sequence[str]
    type: str
    count: int
    boxes: list[Box] = field(default_factory=list)


def write_grounded_scenes(
    folder: str | Path,
    *,
    train: int = 1200,
    valid: int = 150,
    test: int = 300,
    seed: int = 1,
    shares: Shares = Shares(),
) -> Path:
    """Write the corpus: `images/<id>.jpg` and `train.jsonl`, `valid.jsonl`, `test.jsonl`, in this order.

    Args:
        folder: where; made if it does not exist.
        train, valid, test: number of posts in each split.
        seed: decides everything that is drawn or written.
        shares: what the posts are like.

    Returns:
        The folder.
    """
    folder = Path(folder)
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = iter(made_up_names(rng, train + valid + test))
    with tqdm(total=train + valid + test, desc="Drawing posts", unit="post") as progress:
        for split, count in (("train", train), ("valid", valid), ("test", test)):
            lines = []
            for image_id in (f"{split}_{number:04d}" for number in range(count)):
                record, picture = _post(rng, image_id, next(names), shares)
                with atomic_write(folder / IMAGES / f"{image_id}.jpg") as file:
                    file.write(picture)
                lines.append(record_line(record))
                progress.update()
            with atomic_write(folder / f"{split}.jsonl") as file:
                file.writelines(lines)
    return folder


def _post(rng: np.random.Generator, image_id: str, name: Sequence[str], shares: Shares) -> tuple[dict[str, Any], bytes]:
    template, entities = _sentence(rng, name, shares)
    shown = [entity.type for entity in entities for _ in range(entity.count)]
    others = [entity_type for entity_type in DRAWINGS if entity_type not in {entity.type for entity in entities}]
    if not shown and rng.random() < 0.5:
        shown = [pick(rng, others)] * _count(rng, shares)
    picture, boxes = draw_subjects(shown, rng, area=shares.area)
    for entity in entities:
        entity.boxes = [box for kind, box in zip(shown, boxes, strict=True) if kind == entity.type]
    words, tags = fill(
        template, {gap: (entity.words, entity.type) for gap, entity in zip(("name", "known"), entities, strict=False)}
    )
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    record = {
        "id": image_id,
        "tokens": list(words),
        "image": f"{IMAGES}/{image_id}.jpg",
        "entities": [
            {**span._asdict(), "regions": [[round(edge, 4) for edge in asdict(box).values()] for box in entity.boxes]}
            for span, entity in zip(lenient_entities(tags), entities, strict=True)
        ],
    }
    return record, file.getvalue()


def _sentence(rng: np.random.Generator, name: Sequence[str], shares: Shares) -> tuple[str, list[_Entity]]:
    """Return a template and what fills its gaps, in order; no two entities have one type."""
    if rng.random() < shares.plain:
        return pick(rng, PLAIN), []
    entity_type = pick(rng, tuple(DRAWINGS))
    first = _Entity(name, entity_type, 0 if rng.random() < shares.absent else _count(rng, shares))
    typed = not first.count or rng.random() < shares.typed
    template = pick(rng, TYPED_SENTENCES[entity_type] if typed else UNTYPED)
    if rng.random() >= shares.second:
        return template, [first]
    while (tail := typed_tail(rng))[1][1] == entity_type:
        pass
    ending, (words, known_type) = tail
    second = _Entity(words, known_type, 0 if rng.random() < shares.absent else _count(rng, shares))
    return f"{template} {ending}", [first, second]


def _count(rng: np.random.Generator, shares: Shares) -> int:
    """How often a picture shows what it shows."""
    return int(rng.integers(2, MOST + 1)) if rng.random() < shares.several else 1


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=1200, metavar="POSTS")
    parser.add_argument("--valid", type=int, default=150, metavar="POSTS")
    parser.add_argument("--test", type=int, default=300, metavar="POSTS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--absent", type=float, metavar="SHARE", help="of entities that the picture does not show")
    parser.add_argument("--typed", type=float, metavar="SHARE", help="of shown entities whose type the sentence tells")
    parser.add_argument("--second", type=float, metavar="SHARE", help="of posts with a second entity")
    parser.add_argument("--several", type=float, metavar="SHARE", help="of shown entities that are there several times")
    parser.add_argument("--plain", type=float, metavar="SHARE", help="of posts that name nothing")
    parser.add_argument(
        "--area", type=float, nargs=2, metavar=("LEAST", "GREATEST"), help="part of the picture that an object covers"
    )
    options = vars(parser.parse_args(arguments))
    shares = {name: options.pop(name) for name in ("absent", "typed", "second", "several", "plain", "area")}
    chosen = Shares(**{name: share for name, share in shares.items() if share is not None})
    print(write_grounded_scenes(**options, shares=chosen))


if __name__ == "__main__":
    main()
