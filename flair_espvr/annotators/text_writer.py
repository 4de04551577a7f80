"""Text in pictures, read by any reader into a file that `flair_espvr.data.formats.captions.read_captions` reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from flair_espvr.annotators.annotating import annotate, one_for_each
from flair_espvr.annotators.annotation_file import TextLines
from flair_espvr.annotators.text_reader import TextReader
from flair_espvr.data.metadata import OCR

TEXTS = TextLines("texts", key=OCR, may_be_empty=True)


def read_text(
    reader: TextReader,
    pictures: Mapping[str, Path],
    path: str | Path,
    *,
    settings: Mapping[str, Any],
    batch_size: int = 8,
    progress: bool = True,
) -> dict[str, str]:
    """Read the text in pictures into a file, but of those that it holds already; a run that was stopped is resumed.

    A picture without text has a line with nothing behind its id: it was looked at, and its post has no `"ocr"`.

    Args:
        reader: what reads.
        pictures: picture files by image id, read in this order.
        path: the file, TSV; new or begun.
        settings: what the reader does, for the file's first line.
        batch_size: pictures that are in memory at once; after each batch its texts are on disk.
        progress: show a bar.

    Returns:
        The reason for each picture that has no line now, by image id.

    Raises:
        ConfigurationError: the file is not ours to append to, or there are not as many texts as pictures.
        OSError: the file cannot be written.
    """

    def texts(images: Sequence[Image.Image]) -> list[str | None]:
        return [" ".join(text.split()) for text in one_for_each(reader.read(images), images, reader)]

    return annotate(
        pictures,
        path,
        texts,
        form=TEXTS,
        settings=settings,
        batch_size=batch_size,
        title="Reading",
        progress=progress,
    )
