"""How often a tagger looks at what the name stands for, where that place is known."""

import statistics
from collections.abc import Mapping, Sequence

import torch
from flair.data import Sentence

from benchmarks.drawing import Box
from flair_espvr import ESPVRTagger
from flair_espvr.data.metadata import IMAGE_ID, metadata_or_none

BATCH = 32


def pointing(tagger: ESPVRTagger, sentences: Sequence[Sentence], boxes: Mapping[str, Box]) -> dict[str, float]:
    """How often the tagger looks at the subject of the picture, in percent.

    Counted are sentences with a gold entity in which the tagger finds one; the picture shows the first gold entity.

    Returns:
        `sentence`: the sentence's b_c lies in the subject's box; `entity`: so does the b_c of the entity that overlaps
        the first gold one, positioned by itself; `window`: so does the middle of that entity's own window. Empty where
        no regions are positioned.
    """
    hits: dict[str, list[bool]] = {"sentence": [], "entity": [], "window": []}
    named = [sentence for sentence in sentences if sentence.get_spans("ner")]
    tagger.eval()
    for start in range(0, len(named), BATCH):
        batch = named[start : start + BATCH]
        with torch.no_grad():
            output, visual = tagger(batch)
        if output.positions is None or visual is None:
            return {}
        spans = tagger.network.decode(output)
        own = tagger.network.position_entities(output, spans, visual)
        rows, columns = visual.grid
        edge = (min(tagger.network.window, rows), min(tagger.network.window, columns))
        entities = spans.start.shape[1]
        for index, sentence in enumerate(batch):
            box = boxes[metadata_or_none(sentence, IMAGE_ID)]
            center = int(output.positions.center[index])
            if center >= 0:
                hits["sentence"].append(box.holds(*_middle(center, (rows, columns))))
            gold = sentence.get_spans("ner")[0]
            first, last = gold.tokens[0].idx - 1, gold.tokens[-1].idx
            overlaps = spans.mask[index] & (spans.start[index] < last) & (spans.end[index] > first)
            for entity in overlaps.nonzero().flatten().tolist()[:1]:
                place = index * entities + entity
                hits["entity"].append(box.holds(*_middle(int(own.center[place]), (rows, columns))))
                top, left = int(own.top[place]), int(own.left[place])
                hits["window"].append(box.holds((left + edge[1] / 2) / columns, (top + edge[0] / 2) / rows))
    return {name: 100 * statistics.fmean(found) for name, found in hits.items() if found}


def _middle(region: int, grid: tuple[int, int]) -> tuple[float, float]:
    """The middle of a region as fractions (x, y) of the picture."""
    row, column = divmod(region, grid[1])
    return (column + 0.5) / grid[1], (row + 0.5) / grid[0]
