"""Corpora of posts with pictures and captions."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset

from flair_espvr.data.formats.columns import read_posts
from flair_espvr.data.formats.contexts import contexts_of, read_contexts
from flair_espvr.data.formats.detect import CORPUS_FILES, JSONL_FILES
from flair_espvr.data.formats.entity_regions import REGION_FILE, add_regions, read_entity_regions
from flair_espvr.data.formats.jsonl_sentences import read_jsonl_sentences
from flair_espvr.data.metadata import (
    CAPTION,
    IMAGE,
    IMAGE_ID,
    INVALID_TAG,
    KNOWLEDGE,
    OBJECTS,
    OCR,
    TAGS,
    sentence_images,
)
from flair_espvr.data.post import Context, picture_ids
from flair_espvr.data.post_folder import context_files, image_folder
from flair_espvr.data.sentences import post_sentence
from flair_espvr.errors import ConfigurationError, MissingFilesError
from flair_espvr.images.folder import ImageFolder

log = logging.getLogger("flair.espvr.data")

Place = str | Path | Literal[False] | None
"""Where something is; `None` for what the folder of posts brings along, `False` for nothing."""

FileName = str | Sequence[str] | None
"""The file of a split, by its name, several of which the first that is there counts, or `None` for no such split."""


@dataclass(frozen=True)
class SplitSummary:
    """What one file gave: counts of posts, their words and entities, and how many posts have a picture, a caption.

    Attributes:
        invalid_tags: `I-` tags that open an entity; read leniently, as Flair does.
        without_words: posts left out because they have no words.
    """

    posts: int
    words: int
    entities: int
    pictures: int
    captions: int
    invalid_tags: int
    without_words: int

    def __str__(self) -> str:
        parts = [
            f"{self.posts} posts, {self.words} words, {self.entities} entities",
            f"{self.pictures} pictures, {self.posts - self.pictures} missing",
            f"{self.captions} captions, {self.posts - self.captions} missing",
        ]
        if self.invalid_tags:
            parts.append(f"{self.invalid_tags} I- tags open an entity (kept, as Flair reads them)")
        if self.without_words:
            parts.append(f"{self.without_words} posts without words left out")
        return "; ".join(parts)


class MultimodalCorpus(Corpus[Sentence]):
    """A corpus of posts, each with its picture and caption where they are found, in memory.

    A post without picture or caption stays in, without; nothing is put in its place. The counts are in `summary` and in
    the log.

    Args:
        data_folder: where the files of posts are.
        images: a folder of pictures named `<image id>.jpg`, `.png`, ...; `None` for the folder `images` among the
            posts or, where there is none, the posts' own; `False` for no pictures.
        captions: a file of captions by image id (see `read_captions`); `None` for `captions.tsv` among the posts,
            where there is one; `False` for no captions.
        tags: the same of what the pictures show, under the key `"tags"`.
        ocr: the same of what is written in them, `"ocr"`.
        knowledge: the same of what is known about the posts, `"knowledge"`.
        objects: the same of the objects in the pictures, `"objects"`, see `read_objects`; `objects.jsonl` among the
            posts.
        gold_regions: a file of where pictures show the gold entities, see `read_entity_regions`, or `None` for
            `regions.jsonl` among the posts, where there is one; `False` for no such file.
        train_file: name within `data_folder`, or several of which the first that is there counts; `.jsonl` is read by
            `read_jsonl_sentences`, any other by `read_posts`. `None` where there is no such split.
        dev_file: the same for development.
        test_file: the same for testing.
        label_type: the annotation layer that gets the entities.
        label_name_map: other names for some entity types, for instance `{"OTHER": "MISC"}`.
        spaces: whether there are spaces between words; False for Chinese, say, so that texts are shown as written.
        name: what the corpus is called; the folder's name if not given.
        sample_missing_splits: whether a split given as `None` is sampled from train, as `flair.data.Corpus` does.
        random_seed: seed of that sampling.

    Attributes:
        summary: a `SplitSummary` for each file read, by `"train"`, `"dev"`, `"test"`.
        files: the files read, those of captions and other contexts last.
        edition: which edition of a published corpus this is, where that is known; scores should name it.

    Raises:
        MissingFilesError: the file of a split is not there.
        ConfigurationError: another file or folder is not there, or there is no post in any split.
        PostFormatError: a file does not follow its format.
    """

    edition: str | None = None

    def __init__(
        self,
        data_folder: str | Path,
        *,
        images: Place = None,
        captions: Place = None,
        tags: Place = None,
        ocr: Place = None,
        knowledge: Place = None,
        objects: Place = None,
        gold_regions: Place = None,
        train_file: FileName = CORPUS_FILES["train"],
        dev_file: FileName = CORPUS_FILES["dev"],
        test_file: FileName = CORPUS_FILES["test"],
        label_type: str = "ner",
        label_name_map: Mapping[str, str] | None = None,
        spaces: bool = True,
        name: str | None = None,
        sample_missing_splits: bool | Literal["only_dev", "only_test"] = True,
        random_seed: int | None = None,
    ) -> None:
        self.data_folder = Path(data_folder)
        files = _find_files(self.data_folder, {"train": train_file, "dev": dev_file, "test": test_file})
        pictures = None
        if images is not False:
            pictures = ImageFolder(image_folder(self.data_folder) if images is None else images)
        given = {CAPTION: captions, TAGS: tags, OCR: ocr, KNOWLEDGE: knowledge, OBJECTS: objects}
        named = {key: Path(path) for key, path in given.items() if path}
        beside = {key: path for key, path in context_files(self.data_folder).items() if given[key] is None}
        contexts = read_contexts({**named, **beside})
        region_file = _region_file(self.data_folder, gold_regions)
        self.files = [*files.values(), *named.values(), *beside.values(), *filter(None, [region_file])]

        self.summary: dict[str, SplitSummary] = {}
        datasets: dict[str, FlairDatapointDataset[Sentence]] = {}
        for split, path in files.items():
            sentences, self.summary[split] = _read_split(
                _sentences(path, label_type, label_name_map, spaces), pictures, contexts, label_type
            )
            datasets[split] = FlairDatapointDataset(sentences)
            log.info("%s: %s", path, self.summary[split])
        if not any(map(len, datasets.values())):
            raise ConfigurationError(f"{', '.join(map(str, files.values()))}: no posts, so there is no corpus")
        if region_file is not None:
            posts = [sentence for dataset in datasets.values() for sentence in dataset.datapoints]
            add_regions(posts, read_entity_regions(region_file), label_type=label_type, path=region_file)
        if pictures is not None:
            _report_oddities(pictures)
        super().__init__(
            datasets.get("train"),
            datasets.get("dev"),
            datasets.get("test"),
            name=name or self.data_folder.resolve().name,
            sample_missing_splits=sample_missing_splits,
            random_seed=random_seed,
        )

    def __str__(self) -> str:
        return super().__str__().replace("Corpus", self.name, 1)


class POSTS(MultimodalCorpus):
    """One's own posts: a `MultimodalCorpus` of JSONL files, see `flair_espvr.data.formats.jsonl`.

    Pictures and captions are those the posts name, relative to `data_folder`. `images` and `captions` serve the posts
    that name none, by image id (see `read_jsonl_sentences`). All arguments are those of `MultimodalCorpus`.
    """

    def __init__(
        self,
        data_folder: str | Path,
        *,
        train_file: FileName = JSONL_FILES["train"],
        dev_file: FileName = JSONL_FILES["dev"],
        test_file: FileName = JSONL_FILES["test"],
        **arguments: Any,
    ) -> None:
        super().__init__(data_folder, train_file=train_file, dev_file=dev_file, test_file=test_file, **arguments)


def _region_file(folder: Path, given: Place) -> Path | None:
    if given:
        if not Path(given).is_file():
            raise ConfigurationError(f"{given}: expected a file of gold regions, JSONL")
        return Path(given)
    beside = folder / REGION_FILE
    return beside if given is None and beside.is_file() else None


def _sentences(
    path: Path, label_type: str, label_name_map: Mapping[str, str] | None, spaces: bool
) -> Iterator[Sentence]:
    if path.suffix == ".jsonl":
        return read_jsonl_sentences(path, label_type=label_type, label_name_map=label_name_map, spaces=spaces)
    posts = read_posts(path, spaces=spaces)
    return (post_sentence(post, label_type=label_type, label_name_map=label_name_map) for post in posts)


def _read_split(
    sentences: Iterator[Sentence],
    images: ImageFolder | None,
    contexts: Mapping[str, Mapping[str, Context]],
    label_type: str,
) -> tuple[list[Sentence], SplitSummary]:
    kept: list[Sentence] = []
    without_words = 0
    for sentence in sentences:
        if not len(sentence):
            without_words += 1
            continue
        image_id = sentence.get_metadata(IMAGE_ID)
        if not sentence.has_metadata(IMAGE) and images is not None and (path := images.find(image_id)):
            sentence.add_metadata(IMAGE, str(path))
        for key, context in contexts_of(contexts, picture_ids(image_id, sentence_images(sentence))).items():
            if not sentence.has_metadata(key):
                sentence.add_metadata(key, context)
        kept.append(sentence)
    labels = [label for sentence in kept for label in sentence.get_labels(label_type)]
    return kept, SplitSummary(
        posts=len(kept),
        words=sum(len(sentence) for sentence in kept),
        entities=len(labels),
        pictures=sum(sentence.has_metadata(IMAGE) for sentence in kept),
        captions=sum(sentence.has_metadata(CAPTION) for sentence in kept),
        invalid_tags=sum(INVALID_TAG in label.metadata for label in labels),
        without_words=without_words,
    )


def _find_files(folder: Path, names: Mapping[str, FileName]) -> dict[str, Path]:
    """Return the file of each split that has one."""
    files: dict[str, Path] = {}
    absent = []
    for split, choices in names.items():
        if choices is None:
            continue
        candidates = [choices] if isinstance(choices, str) else list(choices)
        there = next((path for name in candidates if (path := folder / name).is_file()), None)
        if there is None:
            absent.append(f"{split} file {' or '.join(candidates)}")
        else:
            files[split] = there
    if absent:
        found = sorted(path.name for path in folder.iterdir() if path.is_file())[:10] if folder.is_dir() else None
        raise MissingFilesError(
            f"{folder}: no {', no '.join(absent)}; "
            + (f"the folder has {', '.join(found) or 'no files'}" if found is not None else "there is no such folder"),
            "Name the files (train_file=, dev_file=, test_file=), or pass None for a split that does not exist",
        )
    return files


def _report_oddities(images: ImageFolder) -> None:
    if images.ambiguous:
        first = min(images.ambiguous)
        log.warning(
            "%s: %d image ids have several pictures, for instance %s", images.folder, len(images.ambiguous), first
        )
    if images.not_images:
        first = min(images.not_images).name
        log.warning("%s: %d files are no pictures, for instance %s", images.folder, len(images.not_images), first)
