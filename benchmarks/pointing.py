"""How often a tagger looks at what the name stands for, where that place is known."""

import statistics
from collections.abc import Mapping, Sequence

import torch
from flair.data import Sentence

from flair_espvr import ESPVRTagger
from flair_espvr.data.metadata import IMAGE_ID, metadata_or_none
from flair_espvr.nn.layers.positioning import window_size
from synthetic.drawing import Box

BATCH = 32


def pointing(tagger: ESPVRTagger, sentences: Sequence[Sentence], boxes: Mapping[str, Box]) -> dict[str, float]:
    """How often the tagger looks at the subject of the picture, in percent.

    Counted are sentences with a gold entity in which the tagger finds one; the picture shows the first gold entity.

    Returns:
        `sentence`: the middle of the sentence's b_c lies in the subject's box; `touching`: b_c and the box overlap, so
        a miss by less than a region counts; neither where each entity has a window. `entity`: as `sentence`, for the
        b_c of the entity that overlaps the first gold one, positioned by itself; `window`: the middle of that entity's
        window lies in the box. Empty where no regions are positioned.
    """
    hits: dict[str, list[bool]] = {"sentence": [], "touching": [], "entity": [], "window": []}
    named = [sentence for sentence in sentences if sentence.get_spans("ner")]
    tagger.eval()
    shared = tagger.config.window_of == "sentence"
    for start in range(0, len(named), BATCH):
        batch = named[start : start + BATCH]
        with torch.no_grad():
            output, visual = tagger(batch)
        if output.positions is None or visual is None:
            return {}
        spans = tagger.network.decode(output)
        own = tagger.network.position_entities(output, spans, visual)
        height, width = window_size(visual.grid, tagger.network.config.window)
        entities = spans.start.shape[1]
        for index, sentence in enumerate(batch):
            box = boxes[metadata_or_none(sentence, IMAGE_ID)]
            center = int(output.positions.center[index]) if shared else -1
            if center >= 0:
                region = _cells(center, visual.grid)
                hits["sentence"].append(box.holds(*region.middle))
                hits["touching"].append(box.touches(region))
            gold = sentence.get_spans("ner")[0]
            first, last = gold.tokens[0].idx - 1, gold.tokens[-1].idx
            overlaps = spans.mask[index] & (spans.start[index] < last) & (spans.end[index] > first)
            for entity in overlaps.nonzero().flatten().tolist()[:1]:
                place = index * entities + entity
                region = _cells(int(own.center[place]), visual.grid)
                hits["entity"].append(box.holds(*region.middle))
                corner = int(own.top[place]) * visual.grid[1] + int(own.left[place])
                window = _cells(corner, visual.grid, height=height, width=width)
                hits["window"].append(box.holds(*window.middle))
    return {name: 100 * statistics.fmean(found) for name, found in hits.items() if found}


def _cells(region: int, grid: tuple[int, int], *, height: int = 1, width: int = 1) -> Box:
    """Return the part of the picture that `height` x `width` regions of `grid` cover from `region` on."""
    rows, columns = grid
    top, left = divmod(region, columns)
    return Box(left / columns, top / rows, (left + width) / columns, (top + height) / rows)
