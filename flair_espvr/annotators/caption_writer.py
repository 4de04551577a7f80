"""Captions of pictures in a file, which `flair_espvr.data.formats.captions.read_captions` reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from flair_espvr.annotators.annotating import annotate, one_for_each
from flair_espvr.annotators.annotation_file import TextLines
from flair_espvr.annotators.captioner import ImageCaptioner
from flair_espvr.data.metadata import CAPTION

CAPTIONS = TextLines("captions", key=CAPTION)


def caption_images(
    captioner: ImageCaptioner,
    pictures: Mapping[str, Path],
    path: str | Path,
    *,
    settings: Mapping[str, Any],
    batch_size: int = 16,
    progress: bool = True,
) -> dict[str, str]:
    """Caption pictures into a file, but those that it holds already, so a run that was stopped is resumed by the next.

    Args:
        captioner: what describes the pictures.
        pictures: picture files by image id, captioned in this order.
        path: the captions file, TSV; new or begun.
        settings: what the captioner does, for the file's first line; `Captioner.settings` for a `Captioner`.
        batch_size: pictures that are in memory at once; after each batch its captions are on disk.
        progress: show a bar.

    Returns:
        the reason for each picture that has no caption now, by image id; it cannot be read, nothing was said about it,
        or its id cannot be a line's first column.

    Raises:
        ConfigurationError: the file is not ours to append to, or there are not as many captions as pictures.
        OSError: the file cannot be written.
    """

    def captions(images: Sequence[Image.Image]) -> list[str | None]:
        return [" ".join(text.split()) or None for text in one_for_each(captioner.caption(images), images, captioner)]

    return annotate(
        pictures,
        path,
        captions,
        form=CAPTIONS,
        settings=settings,
        batch_size=batch_size,
        title="Captioning",
        progress=progress,
    )
