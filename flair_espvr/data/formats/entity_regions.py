"""Gold regions in a file beside posts whose own format has no room for them: a line for each entity.

    {"image_id": "7", "start": 0, "end": 2, "regions": [[0.1, 0.2, 0.5, 0.9]]}

`"start"` and `"end"` (exclusive) count words of the post with that image id; `"regions"` is as in JSONL posts: boxes in
fractions of the picture, `[]` where it does not show the entity, `null` where nobody has looked, and `{"image": 1,
"box": [...]}` on another picture than the first.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from flair.data import Sentence

from flair_espvr.data.formats.captions import json_records
from flair_espvr.data.formats.records import RecordError, gold_regions
from flair_espvr.data.metadata import IMAGE_ID, REGIONS, sentence_images
from flair_espvr.data.region import Region
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.lines import format_error

REGION_FILE = "regions.jsonl"
"""What it is called in a folder of posts."""

EntityRegions = Mapping[str, Mapping[tuple[int, int], tuple[Region, ...]]]
"""By image id, what is known of the entities by their first word and the one after their last."""


def read_entity_regions(path: str | Path) -> EntityRegions:
    """Return the gold regions of a file; those of an entity that comes twice are put together.

    Raises:
        OSError: The file cannot be opened.
        PostFormatError: A line is not as it should be.
    """
    found: defaultdict[str, dict[tuple[int, int], tuple[Region, ...]]] = defaultdict(dict)
    for number, line, record in json_records(path):
        match record:
            case {"image_id": str(image_id), "start": int(start), "end": int(end), "regions": boxes} if start < end:
                if boxes is None:
                    continue
                try:
                    regions = gold_regions(boxes)
                except RecordError as reason:
                    raise format_error(path, number, line, f"an entity and its regions (it {reason})") from None
                found[image_id][start, end] = found[image_id].get((start, end), ()) + regions
            case _:
                expected = {"image_id": "...", "start": 0, "end": 2, "regions": [["left", "top", "right", "bottom"]]}
                raise format_error(path, number, line, f"'{json.dumps(expected)}'")
    return dict(found)


def add_regions(sentences: Iterable[Sentence], known: EntityRegions, *, label_type: str, path: str | Path) -> None:
    """Give gold labels that do not say where their regions, in place.

    Args:
        sentences: All posts that the regions may be of.
        known: See `read_entity_regions`.
        label_type: The layer of the gold labels.
        path: The file that they are from, for messages.

    Raises:
        ConfigurationError: An entity of the file is none of any post with its image id, or on a picture that the post
            does not have.
    """
    named: set[str] = set()
    found: set[tuple[str, tuple[int, int]]] = set()
    for sentence in sentences:
        image_id = sentence.get_metadata(IMAGE_ID)
        of_post = known.get(image_id, {})
        named.update([image_id] if of_post else [])
        for span in sentence.get_spans(label_type):
            words, label = (span[0].idx - 1, span[-1].idx), span.get_label(label_type)
            if words in of_post:
                count = len(sentence_images(sentence))
                if count and (last := max((region.image for region in of_post[words]), default=0)) >= count:
                    raise ConfigurationError(
                        f"{path}: post {image_id!r} has regions on picture {last}, counted from 0, of {count}"
                    )
                found.add((image_id, words))
                span.set_label(label_type, label.value, label.score, **{REGIONS: of_post[words], **label.metadata})
    for image_id in sorted(named):
        for start, end in known[image_id]:
            if (image_id, (start, end)) not in found:
                raise ConfigurationError(
                    f"{path}: post {image_id!r} has no entity of the words {start} to {end} (exclusive); offsets count "
                    "its words, from 0"
                )
