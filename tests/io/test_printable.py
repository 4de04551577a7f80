import pytest

from flair_espvr.io.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 東京.jpg", "Zoë 東京.jpg"),
        ("\x1b]0;owned\x07é.jpg", r"\x1b]0;owned\x07é.jpg"),
        ("a\nb\u2028\ud800", r"a\nb\u2028\ud800"),
    ],
)
def test_a_terminal_is_given_no_orders(text: str, shown: str) -> None:
    assert printable(text) == shown
