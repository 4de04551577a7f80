"""What the page computes, without the page: a post to its entities, files of posts to files of results."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr.data.formats.records import RecordError, parse_record, record_contexts
from flair_espvr.data.metadata import IMAGE, OBJECTS, image_errors, sentence_images
from flair_espvr.data.post import Post
from flair_espvr.data.sentences import post_sentence
from flair_espvr.errors import EspvrError, PostFormatError
from flair_espvr.io.atomic import atomic_write
from flair_espvr.models.capabilities import ReadsImages
from flair_espvr.report import post_html, write_report
from flair_espvr.tagging import DynamicBatcher, posts_from
from flair_espvr.tagging.outputs import jsonl_predictions, prediction_record
from flair_espvr.web.limits import MIB, Limits, RefusedError
from flair_espvr.web.picture_zip import unpack_pictures

_TOGETHER = 32
"""Posts of a batch that are given to the tagger at once; those of other visitors come between."""

OBJECTS_FORM = '[{"label": "dog", "score": 0.9, "box": [0.1, 0.2, 0.6, 1]}]'
"""Of the objects in a picture, as visitors give them; a box is left, top, right, bottom in fractions of the picture."""

Progress = Callable[[int, int], object]
"""Told how many posts of how many are done."""


@dataclass(frozen=True)
class TaggedFiles:
    """The results of a batch: JSONL, a page, and a sentence that counts what is in them."""

    predictions: Path
    page: Path
    summary: str


class Answers:
    """What visitors ask of a tagger, many at once.

    Args:
        tagger: any Flair model that labels spans. One that was loaded adds nothing of a visitor's to a region store.
        limits: bounds on what visitors give.
    """

    def __init__(self, tagger: Classifier[Sentence], limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._label_type = tagger.label_type
        maps = {"return_relevance": True} if isinstance(tagger, ReadsImages) else {}
        self._batcher = DynamicBatcher(tagger, **maps)

    def tag(
        self,
        text: str,
        picture: Path | None = None,
        contexts: Mapping[str, str] | None = None,
        further: Sequence[Path] = (),
    ) -> tuple[str, dict[str, Any]]:
        """Tag one post.

        Args:
            text: the post.
            picture: the file of its picture; one that cannot be read is told on the card, and counts as none.
            contexts: its caption and the like, by metadata key; objects as `OBJECTS_FORM`.
            further: the files of further pictures.

        Returns:
            The post as a card of HTML, and as a JSON object with its `"entities"`.

        Raises:
            RefusedError: there is no text, something is too large, or the objects are malformed.
        """
        contexts = {key: value for key, value in (contexts or {}).items() if value.strip()}
        for value in (text, *contexts.values()):
            if len(value) > self.limits.characters:
                raise RefusedError(f"A text is longer than {self.limits.characters:,} characters.")
        if not text.strip():
            raise RefusedError("There is no text: a post needs one, with or without a picture.")
        sentence = self._sentence(_post(text, contexts))
        pictures = [*([] if picture is None else [picture]), *further]
        self._check_count(len(pictures))
        for file in pictures:
            if file.stat().st_size > self.limits.picture_bytes:
                raise RefusedError(f"The picture is larger than {self.limits.picture_bytes // MIB} MiB.")
        if pictures:
            contents = [file.read_bytes() for file in pictures]
            sentence.add_metadata(IMAGE, contents if len(contents) > 1 else contents[0])
        self._batcher.predict(sentence)
        card = post_html(sentence, label_type=self._label_type)
        return card, prediction_record(sentence, label_type=self._label_type)

    def tag_files(
        self, posts: Path, pictures: Path | None, out: Path, progress: Progress = lambda done, total: None
    ) -> TaggedFiles:
        """Tag the posts of a file.

        Args:
            posts: JSONL or columns. Pictures are taken from `pictures` only, whatever the posts name.
            pictures: a zip of them.
            out: a folder to write `tagged.jsonl` and `report.html` to.
            progress: told about every few posts.

        Raises:
            RefusedError: the posts are malformed or too many, or the zip is refused, see `unpack_pictures`.
            OSError: a file cannot be read or written.
        """
        with tempfile.TemporaryDirectory(prefix="flair-espvr-") as temporary:
            folder = Path(temporary)
            found = 0 if pictures is None else unpack_pictures(pictures, folder, self.limits)
            sentences = self._read(posts, folder)
            for done in self._predicted(sentences):
                progress(done, len(sentences))
            predictions, page = out / "tagged.jsonl", out / "report.html"
            with atomic_write(predictions) as file:
                file.write(jsonl_predictions(sentences, label_type=self._label_type))
            write_report(sentences, page, label_type=self._label_type)
        entities = sum(len(sentence.get_spans(self._label_type)) for sentence in sentences)
        bad = sum(len(image_errors(sentence)) for sentence in sentences)
        return TaggedFiles(
            predictions,
            page,
            f"{len(sentences):,} posts, {found:,} pictures in the zip, {entities:,} entities"
            + (f"; {bad:,} pictures cannot be read" if bad else ""),
        )

    def close(self) -> None:
        """Answer all that was asked, and accept no more."""
        self._batcher.close()

    def _read(self, posts: Path, folder: Path) -> list[Sentence]:
        """Return the posts, whose pictures are below the folder."""
        # Beside the pictures, since that is what their names are relative to; the zip's other files were left out.
        place = folder / "posts.jsonl"
        place.write_bytes(posts.read_bytes())
        try:
            read, _ = posts_from([str(place)], images=folder, images_below=folder)
            sentences = [self._sentence(post) for post in islice(read, self.limits.posts + 1)]
        except PostFormatError as error:
            raise RefusedError(str(error).replace(f"{folder}/", "")) from None
        if len(sentences) > self.limits.posts:
            raise RefusedError(f"There are more than {self.limits.posts:,} posts.")
        if not sentences:
            raise RefusedError("There are no posts in the file.")
        for sentence in sentences:
            self._check_count(len(sentence_images(sentence)))
        return sentences

    def _check_count(self, pictures: int) -> None:
        """Refuse a post with too many pictures, all of which a model reads at once."""
        if pictures > self.limits.post_pictures:
            raise RefusedError(f"A post has {pictures:,} pictures, more than {self.limits.post_pictures}.")

    def _predicted(self, sentences: Iterable[Sentence]) -> Iterator[int]:
        """How many posts are tagged, again and again."""
        stream = iter(sentences)
        done = 0
        while together := list(islice(stream, _TOGETHER)):
            for future in [self._batcher.submit(sentence) for sentence in together]:
                future.result()
                done += 1
            yield done

    def _sentence(self, post: Post) -> Sentence:
        try:
            return post_sentence(post)
        except EspvrError as error:
            raise RefusedError(str(error)) from None


def _post(text: str, contexts: Mapping[str, str]) -> Post:
    """Return the post of what a visitor gives.

    Raises:
        RefusedError: it is malformed.
    """
    record: dict[str, Any] = {"text": text, **contexts}
    try:
        if OBJECTS in contexts:
            record[OBJECTS] = json.loads(contexts[OBJECTS])
        record = parse_record(json.dumps(record))
        return Post(None, None, record=record, contexts=record_contexts(record), source="text")
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"Objects should be JSON, {OBJECTS_FORM} ({error}).") from None
    except RecordError as error:
        raise RefusedError(f"The post cannot be read: {error}.") from None
