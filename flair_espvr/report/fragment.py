"""One tagged post as a piece of HTML for another page, as the report shows it."""

from flair.data import Sentence

from flair_espvr.report.card import make_card
from flair_espvr.report.page import templates
from flair_espvr.report.summary import Summary

_MOST_POINTED_AT = 50
"""Entities of a post that light up when they are pointed at."""

_types = Summary()
"""Which colour a type has, the same in all posts."""


def post_html(sentence: Sentence, *, label_type: str) -> str:
    """Return a tagged post with its entities marked and their regions drawn over its picture, which is inside.

    Args:
        sentence: a tagged post; a picture that cannot be read becomes the reason why.
        label_type: where the tagger put its labels.
    """
    card = make_card(sentence, label_type)
    return templates().get_template("post.html.jinja").render(card=card, number=None, classes=_types.classes)


def post_css(*, scope: str, dark: str) -> str:
    """Return the style of `post_html` below an element of the page, which keeps its own.

    Args:
        scope: a selector of that element.
        dark: a selector of that element where the page is dark.
    """
    return templates().get_template("fragment.css.jinja").render(scope=scope, dark=dark, entities=_MOST_POINTED_AT)
