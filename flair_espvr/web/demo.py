"""A tagger's page, from a loaded tagger to an address."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr.data.metadata import CAPTION, OBJECTS
from flair_espvr.data.picture_object import object_to_json
from flair_espvr.data.post import Context, Post
from flair_espvr.models.capabilities import HasHyperparameters, ReadsContexts, ReadsImages
from flair_espvr.tagging import posts_from
from flair_espvr.web.answers import Answers
from flair_espvr.web.limits import Limits
from flair_espvr.web.page import build_page
from flair_espvr.web.server import LOCALHOST, launch_page

TITLE = "Entities in text and picture"

Example = Mapping[str, Any]


@contextmanager
def running_demo(
    tagger: Classifier[Sentence],
    *,
    title: str = TITLE,
    examples: Sequence[Example] = (),
    host: str = LOCALHOST,
    port: int | None = None,
    limits: Limits | None = None,
) -> Iterator[str]:
    """Serve a page to try a tagger on, for the block.

    Args:
        tagger: any Flair model that labels spans.
        title: the page's heading.
        examples: posts to begin with, see `example_posts`.
        host, port: where to listen, see `launch_page`.
        limits: bounds on what visitors give.

    Yields:
        the page's address.

    Raises:
        OSError: the port is taken.
    """
    answers = Answers(tagger, limits)
    reads_images = isinstance(tagger, ReadsImages) and tagger.region_embeddings is not None
    page = build_page(answers, title=title, reads_images=reads_images, contexts=_contexts(tagger), examples=examples)
    try:
        yield launch_page(page, answers.limits, host=host, port=port)
    finally:
        page.close(verbose=False)
        answers.close()


def example_posts(source: str, most: int = 24) -> list[Example]:
    """Return the first posts of a file or folder, see `posts_from`, as `build_page` takes them.

    Raises:
        EspvrError, OSError: it cannot be read.
    """
    posts, _ = posts_from([source])
    return [_example(post) for post in islice(posts, most)]


def _example(post: Post) -> Example:
    there = [str(image) for image in post.images if isinstance(image, str) and Path(image).is_file()]
    return {
        "text": str((post.record or {}).get("text") or " ".join(post.tokens or ())),
        "image": next(iter(there), None),
        **{key: _as_text(value) for key, value in post.contexts.items()},
        **({"further": there[1:]} if len(there) > 1 else {}),
    }


def _as_text(context: Context) -> str:
    """Return a context as the page's field for it takes it."""
    if isinstance(context, str):
        return context
    if context and all(isinstance(text, str) for text in context):
        return " ".join(map(str, context))
    return json.dumps(context, default=object_to_json, ensure_ascii=False)


def _contexts(tagger: Classifier[Sentence]) -> tuple[str, ...]:
    """Return what the tagger reads beside text and picture; a caption is shown below the picture by whatever tagger."""
    embeddings = getattr(tagger, "embeddings", None)
    read = embeddings.contexts if isinstance(embeddings, ReadsContexts) else ()
    reads_objects = isinstance(tagger, HasHyperparameters) and tagger.config.reads_objects
    return (CAPTION, *read, *([OBJECTS] if reads_objects else []))
