"""Writing tagged posts as one HTML file that needs nothing else: no network, no script, no folder beside it."""

from collections.abc import Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryFile

from flair.data import Sentence
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flair_espvr.io.atomic import atomic_write
from flair_espvr.report.card import make_card
from flair_espvr.report.summary import Summary

_CHUNK = 1 << 20

# HTML has no way to write these, and a post may hold any of them: C0 and C1 controls and lone surrogates.
_UNWRITABLE = dict.fromkeys(
    [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)], "\ufffd"
)


def write_report(
    posts: Iterable[Sentence],
    path: str | Path,
    *,
    label_type: str = "ner",
    gold_label_type: str | None = None,
    title: str = "Entities and where the picture supports them",
    introduction: Sequence[str] = (),
) -> Path:
    """Write a page that shows each post with its entities marked and their regions drawn over its picture.

    Posts are taken one at a time and not kept, so a long run needs no memory. The page appears whole or not at all.

    Args:
        posts: tagged sentences; picture, caption and image id are read from their metadata where present.
        path: the HTML file to write; its folder must exist.
        label_type: where the tagger put its labels; a label's `metadata["region"]` is a `Region` or absent.
        gold_label_type: where the gold labels are; given, entities are marked as right, wrong or missed.
        title: the page's heading.
        introduction: paragraphs under the heading.

    Returns:
        `path`.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    summary = Summary()
    post_template = templates().get_template("post.html.jinja")
    with TemporaryFile("w+", encoding="utf-8", newline="") as cards, atomic_write(path) as page:
        # The head counts what the posts hold, so they are laid aside until all have been seen.
        for number, post in enumerate(posts, start=1):
            card = make_card(post, label_type, gold_label_type)
            summary.add(card)
            cards.write(post_template.render(card=card, number=number, classes=summary.classes))
        cards.seek(0)
        for text in (
            templates()
            .get_template("page.html.jinja")
            .generate(
                title=title,
                introduction=introduction,
                summary=summary,
                compared=gold_label_type is not None,
                cards=map(Markup, iter(partial(cards.read, _CHUNK), "")),
            )
        ):
            page.write(text.encode())
    return path


@cache
def templates() -> Environment:
    """Return the templates, which escape whatever a post holds."""
    environment = Environment(
        loader=PackageLoader("flair_espvr.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_writable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = "{:.0%}".format
    return environment


def _writable(value: object) -> object:
    return value.translate(_UNWRITABLE) if isinstance(value, str) and not isinstance(value, Markup) else value
