"""What the gold labels of a batch say of where the images show their entities, as tensors."""

from collections.abc import Sequence

import flair
import torch
from flair.data import Sentence

from flair_espvr.data.metadata import REGIONS
from flair_espvr.data.region import Region
from flair_espvr.nn.grounding.tensors import GoldRegions
from flair_espvr.nn.layers.spans import Spans


def gold_regions(sentences: Sequence[Sentence], label_type: str) -> GoldRegions | None:
    """Return the entities of B sentences whose labels say where the image shows them, or that it does not.

    It is None if no label says.

    Args:
        sentences: Labelled ones.
        label_type: The layer of the gold labels.
    """
    posts = [_known(sentence, label_type) for sentence in sentences]
    entities = max(map(len, posts))
    if not entities:
        return None
    most = max(len(regions) for post in posts for _, _, regions in post)
    start, end, count = (torch.zeros(len(posts), entities, dtype=torch.long) for _ in range(3))
    boxes = torch.zeros(len(posts), entities, most, 4)
    images = torch.zeros(len(posts), entities, most, dtype=torch.long)
    for row, post in enumerate(posts):
        for place, (first, after, regions) in enumerate(post):
            start[row, place], end[row, place], count[row, place] = first, after, len(regions)
            for number, region in enumerate(regions):
                boxes[row, place, number] = torch.tensor([region.left, region.top, region.right, region.bottom])
                images[row, place, number] = region.image
    mask = torch.arange(most) < count.unsqueeze(2)  # (B, M, N)
    start, end, boxes, mask, images = (
        field.to(flair.device, non_blocking=True) for field in (start, end, boxes, mask, images)
    )
    return GoldRegions(Spans(start, end, torch.zeros_like(start), end > start), boxes, mask, images)


def _known(sentence: Sentence, label_type: str) -> list[tuple[int, int, Sequence[Region]]]:
    """First word, the one after the last, and regions of the entities of which these are known."""
    return [
        (span[0].idx - 1, span[-1].idx, label.metadata[REGIONS])
        for span in sentence.get_spans(label_type)
        for label in [span.get_label(label_type)]
        if REGIONS in label.metadata
    ]
