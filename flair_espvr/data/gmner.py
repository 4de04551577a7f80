"""Twitter-GMNER (Yu et al., ACL 2023): posts whose entities have boxes, or the statement that they are not shown.

Words and tags are IMGID column files. Boxes are Pascal VOC, one `<image id>.xml` a post that has any: an `<object>` for
each box, named by its entity's words. An entity is found by these words, so one that a post names twice has its boxes
twice; neither type nor place in the text is in the XML.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from flair.data import Sentence

from flair_espvr.data.corpora import MultimodalCorpus, Place
from flair_espvr.data.formats.columns import read_posts
from flair_espvr.data.formats.labelled import LabelledPost, labelled_post
from flair_espvr.data.metadata import IMAGE_ID, REGIONS, metadata_or_none
from flair_espvr.data.region import Region
from flair_espvr.errors import ConfigurationError, PostFormatError
from flair_espvr.io.download import sha256_of

log = logging.getLogger("flair.espvr.data")

TEXTS, BOXES = "txt", "xml"

DEV_SHA256 = "07435237d7bfc1f2dd66f564fecab9637ff0bb9d08025d722859dbb2bd3f8532"
"""Of `txt/dev.txt` in version 2.0, by which an edition is told: the hashes of the other files are not known to us."""


class TWITTER_GMNER(MultimodalCorpus):  # noqa: N801  # Flair names corpora so
    """Twitter-GMNER 2.0: 7,000 / 1,500 / 1,500 tweets of Twitter-2015 and -2017, types PER, LOC, ORG, MISC, with boxes.

    Each gold label says under `"regions"` where the picture shows its entity, as a tuple of regions; an empty one
    states that it does not.

    Args:
        base_path: the folder with `txt` (`train.txt`, `dev.txt`, `test.txt`; those that are there are read, at least
            one) and `xml`.
        images: the folder of the tweets' pictures; the corpus works without. What is left out is looked for in `txt`,
            as `MultimodalCorpus` does among the posts.
        captions: a file of captions by image id; the corpus works without.
        tags: as for `MultimodalCorpus`, like `ocr`, `knowledge` and `objects`.
        ocr: see `tags`.
        knowledge: see `tags`.
        objects: see `tags`.
        label_type: the annotation layer that gets the entities.

    Attributes:
        edition: 2.0, or another, named by the hash of `dev.txt`; None without one.

    Raises:
        ConfigurationError: there is no file of posts, or no folder `xml`.
        PostFormatError: a file does not follow its format.
    """

    def __init__(
        self,
        base_path: str | Path,
        *,
        images: Place = None,
        captions: Place = None,
        tags: Place = None,
        ocr: Place = None,
        knowledge: Place = None,
        objects: Place = None,
        label_type: str = "ner",
    ) -> None:
        texts = Path(base_path) / TEXTS
        names = {split: f"{split}.txt" for split in ("train", "dev", "test")}
        there = {split: name for split, name in names.items() if (texts / name).is_file()}
        if not there:
            raise ConfigurationError(f"{texts}: expected train.txt, dev.txt or test.txt of Twitter-GMNER")
        super().__init__(
            texts,
            images=images,
            captions=captions,
            tags=tags,
            ocr=ocr,
            knowledge=knowledge,
            objects=objects,
            train_file=there.get("train"),
            dev_file=there.get("dev"),
            test_file=there.get("test"),
            label_type=label_type,
            label_name_map={"OTHER": "MISC"},
            name=type(self).__name__,
            sample_missing_splits=False,
        )
        ground(self.get_all_sentences(), Path(base_path) / BOXES, label_type=label_type)
        if "dev" in there:
            digest = sha256_of(texts / there["dev"])
            self.edition = "2.0 (Yu et al., ACL 2023)" if digest == DEV_SHA256 else f"other, dev.txt {digest[:12]}"


def read_gmner_posts(path: str | Path) -> Iterator[LabelledPost]:
    """Yield the grounded posts of one file `txt/<split>.txt`, with the boxes of the folder `xml` beside `txt`.

    Raises:
        OSError: the file cannot be opened.
        ConfigurationError: there is no such folder.
        PostFormatError: a file does not follow its format.
    """
    boxes = _checked(Path(path).parent.parent / BOXES)
    for post in map(labelled_post, read_posts(path)):
        regions = _read_boxes(boxes, post.post.image_id)
        names = [_name(post.words[one.start : one.end]) for one in post.entities]
        entities = [
            one._replace(metadata={REGIONS: tuple(regions.get(name, ()))})
            for one, name in zip(post.entities, names, strict=True)
        ]
        yield replace(post, entities=entities)


def ground(sentences: Iterable[Sentence], boxes: Path, *, label_type: str) -> None:
    """Give every gold label of the sentences its regions, in place; the log counts what was found.

    Args:
        sentences: of Twitter-GMNER.
        boxes: the folder of `<image id>.xml`; a post without one shows none of its entities.
        label_type: the layer of the gold labels.

    Raises:
        ConfigurationError: there is no such folder.
        PostFormatError: a file is not Pascal VOC.
    """
    _checked(boxes)
    counts: Counter[str] = Counter()
    for sentence in sentences:
        regions = _read_boxes(boxes, metadata_or_none(sentence, IMAGE_ID))
        counts["posts with boxes"] += bool(regions)
        for span in sentence.get_spans(label_type):
            found = regions.get(_name(token.text for token in span), ())
            label = span.get_label(label_type)
            span.set_label(label_type, label.value, label.score, **{**label.metadata, REGIONS: tuple(found)})
            counts["entities"] += 1
            counts["entities with boxes"] += bool(found)
        named = {_name(token.text for token in span) for span in sentence.get_spans(label_type)}
        counts["boxes of no entity"] += sum(len(of_name) for name, of_name in regions.items() if name not in named)
    log.info("%s: %s", boxes, ", ".join(f"{count} {kind}" for kind, count in counts.items()))


def read_voc_regions(path: str | Path) -> dict[str, list[Region]]:
    """Return the boxes of a Pascal VOC file by the names of their objects, as fractions of the picture.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: it is no such file, or a box is empty or leaves the picture.
    """
    regions: defaultdict[str, list[Region]] = defaultdict(list)
    try:
        root = ElementTree.parse(path).getroot()
        width, height = (int(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
        for shown in root.iter("object"):
            left, top, right, bottom = (
                int(shown.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax")
            )
            if not (0 <= left < right <= width and 0 <= top < bottom <= height):
                raise ValueError(f"a box from {left}, {top} to {right}, {bottom} in a picture of {width} x {height}")
            name = _name(shown.findtext("name", "").split())
            regions[name].append(Region(left / width, top / height, right / width, bottom / height))
    except (ElementTree.ParseError, ValueError) as error:
        raise PostFormatError(f"{path}: expected Pascal VOC with size and boxes in pixels ({error})") from None
    return dict(regions)


def _checked(boxes: Path) -> Path:
    if not boxes.is_dir():
        raise ConfigurationError(f"{boxes}: expected the folder with an <image id>.xml for each post that has boxes")
    return boxes


def _read_boxes(boxes: Path, image_id: str | None) -> dict[str, list[Region]]:
    path = boxes / f"{image_id}.xml"
    return read_voc_regions(path) if path.is_file() else {}


def _name(words: Iterable[str]) -> str:
    return " ".join(words)
