"""Plain text, one post a line, as JSONL: what is not a line of white space is the `"text"` of a post."""

import json
from collections.abc import Iterable, Iterator


def text_as_json_lines(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Numbered lines of text as numbered lines of JSONL, for `flair_espvr.data.formats.jsonl.parse_jsonl`."""
    for number, line in lines:
        if text := line.strip():
            yield number, json.dumps({"text": text}, ensure_ascii=False)
