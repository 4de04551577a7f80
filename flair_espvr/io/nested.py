"""Values nested in one another, as files of strangers have them."""

from typing import Any


def unfolds_beyond(value: Any, most: int) -> bool:
    """Whether nested dicts, lists and tuples hold more than `most` values, each counted wherever it is mentioned.

    Lists that share lists (aliases in YAML, memos in a pickle) double with every level: 60 of them take a few hundred
    bytes in a file, and more than all memory when they are walked through or copied.
    """
    waiting, count = [value], 0
    while waiting:
        nested = waiting.pop()
        if isinstance(nested, dict | list | tuple):
            count += len(nested)
            if count > most:
                return True
            waiting.extend(nested.values() if isinstance(nested, dict) else nested)
    return False
