"""Objects in pictures, one line of JSON for each picture, by the picture's id.

    {"header": {"detector": "...", "threshold": 0.5}}
    {"image_id": "7", "objects": [{"label": "person", "score": 0.98, "box": [0.1, 0.05, 0.6, 1.0]}]}

The header is what `flair-espvr objects` notes of the detector; files of other programs need none. A box is left, top,
right, bottom in fractions of the picture's width and height. An object may have `"attributes"`, a list of texts. An
empty list says that a detector looked and found nothing.
"""

from pathlib import Path
from typing import Any

from flair_espvr.data.formats.captions import json_records, latest_by_image_id
from flair_espvr.data.picture_object import PictureObject, object_from_json
from flair_espvr.io.lines import format_error


def read_objects(path: str | Path) -> dict[str, list[PictureObject]]:
    """Objects by image id, in the order of the file.

    Of two lines for one id the later counts, and a warning says how many such there were.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is not of this form; the message names file and line.
    """
    lines = []
    for number, line, record in json_records(path):
        match record:
            case {"image_id": str(image_id), "objects": list(plain)} if image_id:
                pass
            case _:
                raise format_error(path, number, line, '\'{"image_id": "...", "objects": [...]}\'')
        try:
            lines.append((image_id, parse_objects(plain)))
        except ValueError as reason:
            raise format_error(path, number, line, f"objects of picture {image_id!r} ({reason})") from None
    return latest_by_image_id(lines, path, "lists of objects")


def parse_objects(plain: list[Any]) -> list[PictureObject]:
    """Return the objects of a JSON list.

    Raises:
        ValueError: one is malformed; the message counts it from 1.
    """
    objects = []
    for place, item in enumerate(plain, start=1):
        try:
            objects.append(object_from_json(item))
        except ValueError as reason:
            raise ValueError(f"object {place}: {reason}") from None
    return objects
