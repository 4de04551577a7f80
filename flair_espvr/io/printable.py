"""What strangers wrote, as a terminal may show it."""


def printable(text: str) -> str:
    """Return a line of text in which control characters, which give a terminal orders, are written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
