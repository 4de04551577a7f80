"""Posts as Label Studio imports them: a JSON array of tasks, each with its text and its entities as one annotation.

The labelling interface has `<Labels name="label" toName="text">` and `<Text name="text" value="$text">`; further fields
of a post, such as `"image"`, are in the task's data, as they are: Label Studio shows pictures from addresses it serves.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, BinaryIO


def write_label_studio_tasks(records: Iterable[Mapping[str, Any]], file: BinaryIO) -> int:
    """Write posts, as JSON objects, as tasks for `Import`; returns how many.

    A post of words has them with spaces between.
    """
    count = 0
    file.write(b"[")
    for record in records:
        file.write((b",\n" if count else b"\n") + json.dumps(_task(record), ensure_ascii=False).encode())
        count += 1
    file.write(b"\n]\n")
    return count


def _task(record: Mapping[str, Any]) -> dict[str, Any]:
    others = {field: value for field, value in record.items() if field not in {"text", "tokens", "entities"}}
    text, places = record.get("text"), [(entity["start"], entity["end"]) for entity in record["entities"]]
    if text is None:
        words = record["tokens"]
        starts = list(accumulate((len(word) + 1 for word in words), initial=0))
        text, places = " ".join(words), [(starts[start], starts[end] - 1) for start, end in places]
    results = [
        {
            "id": str(number),
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "value": {"start": start, "end": end, "text": text[start:end], "labels": [entity["type"]]},
        }
        for number, ((start, end), entity) in enumerate(zip(places, record["entities"], strict=True), start=1)
    ]
    return {"data": {"text": text, **others}, "annotations": [{"result": results}]}
