"""CoNLL-2003 as it is published, and its like: several columns separated by spaces, the word first, the tag last.

    -DOCSTART- -X- O O
    <blank line>
    EU NNP I-NP I-ORG
    rejects VBZ I-VP O
    German JJ I-NP I-MISC

A `-DOCSTART-` line opens a document and is no word. Tags are IOB1, as published first, IOB2, as most copies have them,
or BIOES; posts have BIO2 tags.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from flair_espvr.data.bio import bio_tags, is_tag, lenient_entities
from flair_espvr.data.formats.columns import parse_columns
from flair_espvr.data.formats.detect import DOCUMENT_START
from flair_espvr.data.post import Post
from flair_espvr.io.lines import format_error, read_lines

_BLANKS = " \t"
_BETWEEN_COLUMNS = re.compile(f"[{_BLANKS}]+")


def read_conll2003_posts(path: str | Path) -> Iterator[Post]:
    """Yield the tagged sentences of a file, one at a time, without image ids.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is not what it should be; the message names file, line and what was expected.
    """
    lines = words_and_tags(read_lines(path), source=path)
    for post in parse_columns(lines, source=path, image_ids=False, tagged=True):
        tags = post.tags or ()
        yield replace(post, tags=tuple(bio_tags(len(tags), lenient_entities(tags))))


def words_and_tags(lines: Iterable[tuple[int, str]], *, source: str | Path) -> Iterator[tuple[int, str]]:
    """Numbered lines as those of plain CoNLL: word, TAB and tag; blank ones for `-DOCSTART-`.

    Raises:
        PostFormatError: a line has fewer than three columns, or no tag in the last.
    """
    for number, line in lines:
        columns = _BETWEEN_COLUMNS.split(line.strip(_BLANKS))
        if columns[0] in {"", DOCUMENT_START}:
            yield number, ""
        elif len(columns) > 2 and is_tag(columns[-1]):
            yield number, f"{columns[0]}\t{columns[-1]}"
        else:
            expected = "a word, further columns and a tag (O, I-TYPE, B-TYPE ...), separated by spaces, or a blank line"
            raise format_error(source, number, line, expected)
