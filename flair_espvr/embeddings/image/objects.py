"""Objects of sentences -> their labels, boxes and, from a frozen backbone, the vectors of their crops."""

from collections.abc import Sequence
from dataclasses import replace

import flair
import torch
from flair.data import Sentence

from flair_espvr.data.object_labels import ObjectLabels
from flair_espvr.data.picture_object import PictureObject
from flair_espvr.embeddings.image.regions import ImageRegionEmbeddings
from flair_espvr.nn.features import ObjectFeatures

_NO_BOX = (0.0, 0.0, 0.0, 0.0)


def object_features(
    sentences: Sequence[Sentence],
    objects: Sequence[Sequence[PictureObject | None]],
    labels: ObjectLabels,
    *,
    crops_by: ImageRegionEmbeddings | None = None,
) -> ObjectFeatures | None:
    """Return what a network reads of the objects of B sentences, O of the longest list.

    Args:
        sentences: the batch.
        objects: those of each sentence that count, as `sentence_objects` or `one_of_each` choose them; None leaves its
            place empty.
        labels: the vocabulary of labels.
        crops_by: what computes or looks up the vectors of crops. An object whose picture is missing or cannot be read
            is then left out.

    Returns:
        The features; None where no sentence has an object that counts.

    Raises:
        BadImageError, ConfigurationError, RegionStoreError: as `ImageRegionEmbeddings.crops`.
    """
    most = max(map(len, objects), default=0)
    rows = [[*some, *[None] * (most - len(some))] for some in objects]
    mask = [[found is not None for found in row] for row in rows]
    if not any(map(any, mask)):
        return None
    boxes = [[_NO_BOX if found is None else found.box for found in row] for row in rows]
    ids = [[0 if found is None else labels.id_of(found.label) for found in row] for row in rows]
    images = [[0 if found is None else found.image for found in row] for row in rows]
    features = ObjectFeatures(
        labels=torch.tensor(ids).to(flair.device, non_blocking=True),
        boxes=torch.tensor(boxes).to(flair.device, non_blocking=True),
        mask=torch.tensor(mask).to(flair.device, non_blocking=True),
        vectors=None,
        images=torch.tensor(images).to(flair.device, non_blocking=True) if any(map(any, images)) else None,
    )
    if crops_by is None:
        return features
    wanted = [[None if found is None else found.box for found in row] for row in rows]
    vectors, readable = crops_by.crops(sentences, wanted, images)
    if not any(map(any, readable)):
        return None
    mask_of_crops = torch.tensor(readable).to(flair.device, non_blocking=True)
    return replace(features, mask=mask_of_crops, vectors=vectors)
