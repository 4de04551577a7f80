"""Objects in pictures, by any detector, in a file that `flair_espvr.data.formats.objects.read_objects` reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from flair_espvr.annotators.annotating import annotate, one_for_each
from flair_espvr.annotators.annotation_file import ObjectLines
from flair_espvr.annotators.object_detector import ObjectDetector
from flair_espvr.data.picture_object import PictureObject

OBJECT_LISTS = ObjectLines("objects")


def detect_objects(
    detector: ObjectDetector,
    pictures: Mapping[str, Path],
    path: str | Path,
    *,
    settings: Mapping[str, Any],
    prompts: Sequence[str] | None = None,
    batch_size: int = 8,
    progress: bool = True,
) -> dict[str, str]:
    """Find objects in pictures into a file, but in those that it holds already; a run that was stopped is resumed.

    The surest object comes first. A picture without objects has an empty list.

    Args:
        detector: what finds them.
        pictures: picture files by image id, looked at in this order.
        path: the file, JSONL; new or begun.
        settings: what the detector does, for the file's first line; prompts are added.
        prompts: what to look for, for a detector that takes prompts.
        batch_size: pictures that are in memory at once; after each batch its objects are on disk.
        progress: show a bar.

    Returns:
        The reason for each picture that has no line now, by image id.

    Raises:
        ConfigurationError: the file is not ours to append to, there are not as many lists as pictures, or the detector
            takes no prompts, or none but prompts.
        OSError: the file cannot be written.
    """

    def objects(images: Sequence[Image.Image]) -> list[list[PictureObject] | None]:
        found = one_for_each(detector.detect(images, prompts), images, detector)
        return [sorted(some, key=lambda one: -one.score) for some in found]

    return annotate(
        pictures,
        path,
        objects,
        form=OBJECT_LISTS,
        settings={**settings, "prompts": None if prompts is None else list(prompts)},
        batch_size=batch_size,
        title="Detecting",
        progress=progress,
    )
