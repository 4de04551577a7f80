"""Any number of posts through a tagger, in the order they come, with no more of them in memory than one window."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from itertools import islice
from typing import Any

import flair
from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr.data.metadata import image_errors
from flair_espvr.data.post import BadPost, Post
from flair_espvr.data.sentences import post_sentence
from flair_espvr.errors import ConfigurationError, PostFormatError
from flair_espvr.images.bad_images import BadImages
from flair_espvr.images.loading import describe_source
from flair_espvr.io.spooled import SpooledLines
from flair_espvr.models.batching import WINDOW_BATCHES
from flair_espvr.models.capabilities import MapsEntities
from flair_espvr.models.inference import mixed_precision


def tag_posts(
    tagger: Classifier[Sentence],
    posts: Iterable[Post],
    *,
    batch_size: int = 32,
    amp: bool = False,
    min_score: float = 0.0,
) -> Iterator[Sentence]:
    """Tag posts as they come.

    Args:
        tagger: any Flair model that labels spans.
        posts: any number of them; read a window of 16 batches ahead of what was given.
        batch_size: posts per forward pass.
        amp: mixed precision, see `mixed_precision`.
        min_score: entities with a lower score, in 0..1, are left out.

    Yields:
        The sentence of each post, in order, with labels under the tagger's own label type. A post with an image that
        could not be read has the reason in its metadata, under `"image_error"`.

    Raises:
        ConfigurationError: `batch_size` is below 1, or `min_score` is not in 0..1.
        EspvrError: a post cannot be read, or its image's regions cannot be computed at all.
    """
    for window in PostTagging(tagger, posts, batch_size=batch_size, amp=amp, min_score=min_score).windows():
        yield from window


class PostTagging:
    """A stream of posts on its way through a tagger, and the counts so far.

    Args:
        tagger, batch_size, amp: those of `tag_posts`.
        posts: any number of them, and of what should be posts and is none, which is put aside.
        keep_bad: whether a text that Flair cannot split is put aside too, in place of an error.
        relevance: whether labels get their maps of the image, under `"relevance"`, from a tagger that has such maps.

    Attributes:
        posts: how many were tagged.
        entities: how many were found.
        images: how many of the posts have an image.
        bad_images: those that could not be read.
        bad_posts: those that were put aside, as the fields of `BadPost`.
        label_type: what the tagger labels.
    """

    def __init__(
        self,
        tagger: Classifier[Sentence],
        posts: Iterable[Post | BadPost],
        *,
        batch_size: int = 32,
        amp: bool = False,
        keep_bad: bool = False,
        min_score: float = 0.0,
        relevance: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ConfigurationError(f"batch_size={batch_size}: should be 1 or more")
        if not 0 <= min_score <= 1:
            raise ConfigurationError(f"min_score={min_score}: should be in 0..1")
        self.posts = self.entities = self.images = 0
        self.bad_images = BadImages()
        self.bad_posts = SpooledLines()
        self.label_type = tagger.label_type
        self._new_bad_images: dict[str, str] = {}
        self._new_bad_posts: list[dict[str, Any]] = []
        self._keep_bad = keep_bad
        self._tagger = tagger
        self._stream = iter(posts)
        self._batch_size = batch_size
        self._amp = amp
        self._min_score = min_score
        self._options: dict[str, Any] = (
            {"return_relevance": True} if relevance and isinstance(tagger, MapsEntities) else {}
        )
        self._digest = blake2b(digest_size=16)

    def windows(self) -> Iterator[list[Sentence]]:
        """Yield the remaining posts, tagged.

        A bad post takes up a place in its window: the others' batches are as ever.

        Raises:
            EspvrError: a post cannot be read, or its image's regions cannot be computed at all.
        """
        while window := list(islice(self._stream, window_size(self._batch_size))):
            self._new_bad_images, self._new_bad_posts = {}, []
            posts, sentences = self._readable(window)
            with mixed_precision(flair.device, enabled=self._amp):
                self._tagger.predict(sentences, mini_batch_size=self._batch_size, **self._options)
            for span in [span for sentence in sentences for span in sentence.get_spans(self.label_type)]:
                if span.get_label(self.label_type).score < self._min_score:
                    span.remove_labels(self.label_type)
            self._count(posts, sentences)
            for item in window:
                self._digest.update(item.fingerprint())
            yield sentences

    def note(self) -> dict[str, Any]:
        """After each window, what `resume` needs of it, as JSON values."""
        return {
            "posts": self.posts,
            "entities": self.entities,
            "pictures": self.images,
            "bad_pictures": self._new_bad_images,
            "bad_posts": self._new_bad_posts,
            "digest": self._digest.hexdigest(),
        }

    def resume(self, notes: Sequence[Mapping[str, Any]]) -> bool:
        """Skip the posts that an earlier run tagged, and take up its counts.

        Args:
            notes: of all its windows.

        Returns:
            whether these posts are those that it tagged; where they are not, there is nothing to go on with.

        Raises:
            ConfigurationError: a note is damaged.
            PostFormatError: one of them cannot be read.
        """
        last = notes[-1]
        try:
            self.posts, self.entities, self.images = (int(last[name]) for name in ("posts", "entities", "pictures"))
            for note in notes:
                for name, reason in note["bad_pictures"].items():
                    self.bad_images.add(name, reason)
                for bad in note.get("bad_posts", ()):  # earlier releases put none aside
                    self.bad_posts.add(bad)
            read = islice(self._stream, self.posts + len(self.bad_posts))
            digest = last["digest"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"the journal of the interrupted run is damaged ({error!r}); remove it and the part to begin anew"
            ) from error
        for item in read:
            self._digest.update(item.fingerprint())
        return bool(self._digest.hexdigest() == digest)

    def _readable(self, window: Sequence[Post | BadPost]) -> tuple[list[Post], list[Sentence]]:
        """Return the posts of a window and their sentences; the others are put aside."""
        posts, sentences = [], []
        for item in window:
            bad = item
            if isinstance(item, Post):
                try:
                    sentences.append(post_sentence(item))
                    posts.append(item)
                    continue
                except PostFormatError as error:
                    if not self._keep_bad:
                        raise
                    bad = BadPost.of(error, source=item.source, raw=json.dumps(item.record, ensure_ascii=False))
            self._new_bad_posts.append(asdict(bad))
            self.bad_posts.add(self._new_bad_posts[-1])
        return posts, sentences

    def _count(self, posts: Sequence[Post], sentences: Sequence[Sentence]) -> None:
        self.posts += len(posts)
        self.images += sum(post.image is not None for post in posts)
        self.entities += sum(len(sentence.get_spans(self.label_type)) for sentence in sentences)
        for post, sentence in zip(posts, sentences, strict=True):
            for place, reason in image_errors(sentence).items() if post.images else ():
                name = describe_source(post.images[place])
                if self.bad_images.add(name, reason):
                    self._new_bad_images[name] = reason


def window_size(batch_size: int) -> int:
    """Return how many posts' batches are made together."""
    return batch_size * WINDOW_BATCHES
