"""Any number of posts through a tagger, in the order they come, with no more of them in memory than one window."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any

import flair
from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr.data.metadata import IMAGE_ERROR, metadata_or_none
from flair_espvr.data.post import Post
from flair_espvr.models.batching import WINDOW_BATCHES
from flair_espvr.models.inference import mixed_precision


class PostTagging:
    """A stream of posts on its way through a tagger, and the counts so far.

    Args:
        tagger: what tags them; any Flair model that labels spans.
        posts: the stream; read once, a window ahead of what was given.
        batch_size: posts per forward pass.
        amp: mixed precision, see `mixed_precision`.

    Attributes:
        posts, entities: how many were tagged and found.
        pictures: how many of the posts have a picture.
        bad_pictures: those that were taken for no picture: name -> reason.
    """

    def __init__(
        self, tagger: Classifier[Sentence], posts: Iterator[Post], *, batch_size: int, amp: bool = False
    ) -> None:
        self.posts = self.entities = self.pictures = 0
        self.bad_pictures: dict[str, str] = {}
        self._new_bad_pictures: dict[str, str] = {}
        self._tagger = tagger
        self._stream = posts
        self._batch_size = batch_size
        self._amp = amp
        self._digest = blake2b(digest_size=16)

    def windows(self) -> Iterator[list[Sentence]]:
        """The remaining posts, tagged under the tagger's own label type.

        Raises:
            EspvrError: a post cannot be read, or its picture's regions cannot be computed at all.
        """
        while window := list(islice(self._stream, self._batch_size * WINDOW_BATCHES)):
            sentences = [post.sentence() for post in window]
            with mixed_precision(flair.device, enabled=self._amp):
                self._tagger.predict(sentences, mini_batch_size=self._batch_size)
            self._count(window, sentences)
            yield sentences

    def note(self) -> dict[str, Any]:
        """After each window, what `resume` needs of it, as JSON values."""
        return {
            "posts": self.posts,
            "entities": self.entities,
            "pictures": self.pictures,
            "bad_pictures": self._new_bad_pictures,
            "digest": self._digest.hexdigest(),
        }

    def resume(self, notes: Sequence[Mapping[str, Any]]) -> bool:
        """Read over the posts that an earlier run tagged, and take up its counts.

        Args:
            notes: of all its windows.

        Returns:
            whether these posts are those that it tagged; where they are not, there is nothing to go on with.

        Raises:
            PostFormatError: one of them cannot be read.
        """
        last = notes[-1]
        for post in islice(self._stream, last["posts"]):
            self._digest.update(post.fingerprint())
        self.posts, self.entities, self.pictures = last["posts"], last["entities"], last["pictures"]
        for note in notes:
            self.bad_pictures.update(note["bad_pictures"])
        return self._digest.hexdigest() == last["digest"]

    def _count(self, window: Sequence[Post], sentences: Sequence[Sentence]) -> None:
        self.posts += len(window)
        self.pictures += sum(post.image is not None for post in window)
        self.entities += sum(len(sentence.get_spans(self._tagger.label_type)) for sentence in sentences)
        for post in window:
            self._digest.update(post.fingerprint())
        bad = {
            str(post.image): metadata_or_none(sentence, IMAGE_ERROR)
            for post, sentence in zip(window, sentences, strict=True)
        }
        self._new_bad_pictures = {
            name: reason for name, reason in bad.items() if reason and name not in self.bad_pictures
        }
        self.bad_pictures.update(self._new_bad_pictures)
