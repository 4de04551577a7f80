"""Tagged posts as bytes for a result file, a batch at a time."""

import io
from collections.abc import Iterable
from typing import Any

from flair.data import Sentence

from flair_espvr.data.formats.columns import write_posts
from flair_espvr.data.formats.record_sentences import sentence_record
from flair_espvr.data.formats.records import record_line
from flair_espvr.data.metadata import GROUNDED, REGION
from flair_espvr.data.sentences import sentence_post


def prediction_record(sentence: Sentence, *, label_type: str) -> dict[str, Any]:
    """Return a tagged post as a JSON object that `flair_espvr.data.read_jsonl_sentences` reads.

    It is the object that the post was read from with `"entities"`, each with its `"text"`, `"type"`, `"score"`, its
    `"start"` and `"end"` (offsets in characters of `"text"`, or in words where the post has `"tokens"`), its `"words"`
    (the first and the one after the last) and its `"region"`, `null` where no picture supports it. Where the region is
    what holds most of the tagger's attention, `"times_even"` says how much more that is than its area's share.

    Args:
        sentence: a post with predicted labels.
        label_type: the layer that these are in.
    """
    record = sentence_record(sentence, label_type=label_type, scores=True)
    entities = []
    for entity, span in zip(record["entities"], sentence.get_spans(label_type), strict=True):
        region = entity.pop(REGION, None)
        if region is not None and GROUNDED not in entity:
            times_even = span.get_label(label_type).metadata[REGION].times_even
            region["times_even"] = None if times_even is None else round(times_even, 3)
        text = record["text"][entity["start"] : entity["end"]] if "text" in record else span.text
        entities.append({"text": text, **entity, "words": [span[0].idx - 1, span[-1].idx], REGION: region})
    return {**record, "entities": entities}


def jsonl_predictions(sentences: Iterable[Sentence], *, label_type: str) -> bytes:
    """One line of JSON for each tagged post, see `prediction_record`.

    Raises:
        PostFormatError: a post has what JSON cannot represent, as a score that is NaN.
    """
    return b"".join(record_line(prediction_record(sentence, label_type=label_type)) for sentence in sentences)


def column_predictions(sentences: Iterable[Sentence], *, label_type: str) -> bytes:
    """Return the tagged posts as `flair_espvr.data.read_posts` reads them: an `IMGID:` line, then `word<TAB>tag` lines.

    Raises:
        PostFormatError: an image id or a word has a TAB or a line end inside.
    """
    file = io.BytesIO()
    write_posts((sentence_post(sentence, label_type=label_type) for sentence in sentences), file)
    return file.getvalue()
