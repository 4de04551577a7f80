"""What people write under a picture, with a gap for a name; some of it tells what kind of name, most does not."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from synthetic.chance import pick

UNTYPED = (
    "Look at {name} today",
    "So happy to see {name} again",
    "Everybody keeps talking about {name} this week",
    "I can not stop thinking about {name}",
    "Here is {name} as promised",
    "My sister just sent me this picture of {name}",
    "{name} never gets old",
    "Nothing beats {name} on a Monday",
    "{name} ! What a sight",
    "Finally , {name} up close",
    "Who else loves {name} ?",
    "Throwback to {name} last summer",
    "This is {name} , looking better than ever",
    "They told me {name} was great and they were right",
    "Good morning from me and {name}",
    "Tell me one thing that is better than {name}",
    "Guess who found {name} , haha",
    "People really do not talk about {name} enough",
    "We waited all year for {name}",
    "I will never forget {name}",
    "First photo of {name} , more to come",
    "What do you think of {name} ?",
    "Say hello to {name} everyone",
    "{name} made my whole day",
    "Can we just take a moment for {name}",
    "RT if you remember {name}",
    "Still my favourite : {name}",
    "Is it just me or is {name} everywhere now ?",
    "Took this shot of {name} on the way home",
    "Proud to show you {name}",
    "Once more {name} for the win",
    "{name} in all its beauty , no filter",
)

PLAIN = (
    "What a lovely morning",
    "Too tired to write anything today",
    "I love this colour so much",
    "Found this on my old hard drive",
    "Nothing to add , really",
    "Best weekend in a long time",
    "No filter needed",
    "Guess what this is",
    "Made my day",
    "Can not wait for the holidays to begin",
    "Just trying out my new settings here",
    "This picture says it all",
)

TYPED = (
    ("says", "PER", ("Anna Miller", "Tom Becker", "Maria Lopez", "Peter Novak", "James Cooper", "Laura Rossi")),
    (", greetings from", "LOC", ("Lisbon", "Berlin", "New Zealand", "Chicago", "Norway", "Buenos Aires")),
    (", thanks to everyone at", "ORG", ("Microsoft", "NASA", "Deutsche Bahn", "Unicef", "Toyota", "Oxfam")),
    (", seen during the", "MISC", ("Olympics", "Oscars", "World Cup", "Tour de France", "Super Bowl", "Grammys")),
)
"""Tails that name something whose type the text alone tells: the words that lead to it, its type, what may follow."""

TYPED_SENTENCES: Mapping[str, Sequence[str]] = {
    "PER": (
        "Happy birthday to my best friend {name}",
        "Our new teacher {name} told us a story today",
        "{name} sang all night and nobody wanted to go home",
        "My cousin {name} says she will run the marathon",
        "Met the singer {name} after the show",
        "Dr. {name} answers your questions tonight",
        "Mr. {name} scored twice and then he cried",
    ),
    "LOC": (
        "Two days of hiking near {name}",
        "Heavy rain in the town of {name} this morning",
        "We drove from {name} to the sea",
        "The streets of {name} are empty at night",
        "Flights to {name} are cheap in May",
        "Moving to {name} next month , any tips ?",
        "Snow on the road to {name} again",
    ),
    "ORG": (
        "{name} Inc. hires two hundred engineers",
        "The board of {name} meets on Friday",
        "Shares of {name} fell five percent",
        "Just signed my contract with the company {name}",
        "{name} opens a second factory",
        "The CEO of {name} resigned today",
        "Customer service at {name} is a joke",
    ),
    "MISC": (
        "Just finished the third season of {name}",
        "The new album {name} is out now",
        "I am learning to speak {name}",
        "Tickets for the {name} festival are gone",
        "Watching the movie {name} with the kids",
        "Page 300 of the novel {name} and I am in tears",
        "Playing the game {name} until sunrise",
    ),
}
"""Sentences that tell what kind of name theirs is, by that kind."""


def fill(template: str, names: Mapping[str, tuple[Sequence[str], str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words and BIO2 tags of a sentence template.

    Args:
        template: words and gaps such as `{name}`, separated by spaces.
        names: for each gap the words that fill it and their entity type.

    Returns:
        words and tags, equally many.
    """
    words: list[str] = []
    tags: list[str] = []
    for part in template.split():
        gap = re.fullmatch(r"{(\w+)}", part)
        if gap is None:
            words.append(part)
            tags.append("O")
        else:
            name, entity_type = names[gap.group(1)]
            words.extend(name)
            tags.extend([f"B-{entity_type}", *[f"I-{entity_type}"] * (len(name) - 1)])
    return tuple(words), tuple(tags)


def typed_tail(rng: np.random.Generator) -> tuple[str, tuple[Sequence[str], str]]:
    """Return the end of a sentence that names something well known, with a gap `{known}`, and what fills it."""
    lead, entity_type, examples = pick(rng, TYPED)
    return f"{lead} {{known}}", (pick(rng, examples).split(), entity_type)
