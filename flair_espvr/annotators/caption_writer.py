"""Writing a captions file that survives a kill at any moment and goes on where it stopped.

The file is what `flair_espvr.data.formats.captions.read_captions` reads: first `# {JSON}`, the settings that the
captions were made with, then a line `image_id<TAB>caption` for each picture.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image
from tqdm import tqdm

from flair_espvr.annotators.captioner import ImageCaptioner
from flair_espvr.data.formats.captions import read_captions
from flair_espvr.errors import BadImageError, ConfigurationError
from flair_espvr.images.loading import load_image
from flair_espvr.io.atomic import atomic_write

_HEADER_MARK = b"# "


class CaptionWriter:
    """A captions file open for appending. A context manager; what `write` returned from is on disk.

    A line that a kill left half written is cut off when the file is opened again.

    Args:
        path: a TSV file, new or written before with the same settings; its folder must exist. One process at a time
            may write to it.
        settings: what the captions are made with, as JSON values.

    Attributes:
        written: ids of the pictures whose captions the file holds.

    Raises:
        ConfigurationError: the file is not of this kind, or its captions were made with other settings.
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        if self.path.suffix == ".jsonl":
            raise ConfigurationError(f"{path}: captions are written as TSV, which this name denies; call it .tsv")
        if not self.path.exists() or not self.path.stat().st_size:
            with atomic_write(self.path) as file:
                file.write(_HEADER_MARK + json.dumps(settings, ensure_ascii=False).encode() + b"\n")
        _require_settings(self.path, settings)
        _cut_half_line(self.path)
        self.written = set(read_captions(self.path))
        self._file = self.path.open("ab")

    def write(self, captions: Mapping[str, str]) -> None:
        """Append captions by image id and force them to disk.

        Raises:
            ConfigurationError: an id or a caption would not be read back; nothing was written.
            OSError: the disk is full.
        """
        for image_id, caption in captions.items():
            if reason := unwritable_id(image_id):
                raise ConfigurationError(f"image id {image_id!r} {reason}")
            if not caption.strip() or _breaks_line(caption):
                raise ConfigurationError(f"image id {image_id!r}: a caption is one line of text, not {caption!r}")
        self._file.write("".join(f"{image_id}\t{caption}\n" for image_id, caption in captions.items()).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self.written.update(captions)

    def __enter__(self) -> "CaptionWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


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
        path: the captions file, see `CaptionWriter`.
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
    if batch_size < 1:
        raise ConfigurationError(f"batch_size is at least 1, not {batch_size}")
    failures: dict[str, str] = {}
    with CaptionWriter(path, settings) as writer:
        missing = [(image_id, file) for image_id, file in pictures.items() if image_id not in writer.written]
        present = len(pictures) - len(missing)
        with tqdm(desc="Captioning", total=len(pictures), initial=present, unit="picture", disable=not progress) as bar:
            for start in range(0, len(missing), batch_size):
                batch = missing[start : start + batch_size]
                images = _loaded(batch, failures)
                captions = _described(captioner, images)
                failures.update(dict.fromkeys(images.keys() - captions, "the captioner said nothing"))
                writer.write(captions)
                bar.update(len(batch))
    return {image_id: failures[image_id] for image_id in pictures if image_id in failures}


def unwritable_id(image_id: str) -> str | None:
    """Why an image id cannot be the first column of a captions file; `None` if it can."""
    if not image_id or image_id.startswith("#") or _breaks_line(image_id):
        return "is empty, begins with '#' or holds a TAB or line end, which a captions file cannot say; rename it"
    try:
        image_id.encode()
    except UnicodeEncodeError:
        return "is not UTF-8; rename it"
    return None


def _loaded(batch: Iterable[tuple[str, Path]], failures: dict[str, str]) -> dict[str, Image.Image]:
    images = {}
    for image_id, file in batch:
        if reason := unwritable_id(image_id):
            failures[image_id] = f"its id {reason}"
            continue
        try:
            images[image_id] = load_image(file)
        except BadImageError as error:
            failures[image_id] = error.reason
    return images


def _described(captioner: ImageCaptioner, images: Mapping[str, Image.Image]) -> dict[str, str]:
    """One line for each picture that the captioner had words for."""
    if not images:
        return {}
    captions = captioner.caption(list(images.values()))
    if len(captions) != len(images):
        raise ConfigurationError(
            f"{type(captioner).__name__}.caption gave {len(captions)} captions for {len(images)} pictures; "
            "it should give one for each, in order"
        )
    lines = {image_id: " ".join(caption.split()) for image_id, caption in zip(images, captions, strict=True)}
    return {image_id: line for image_id, line in lines.items() if line}


def _require_settings(path: Path, settings: Mapping[str, Any]) -> None:
    with path.open("rb") as file:
        first_line = file.readline()
    try:
        is_header = first_line.startswith(_HEADER_MARK) and first_line.endswith(b"\n")
        found = json.loads(first_line.removeprefix(_HEADER_MARK)) if is_header else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigurationError(
            f"{path}: expected a captions file that begins with '# {{settings as JSON}}', so nothing was added to it; "
            "write to another file"
        )
    asked = json.loads(json.dumps(settings))
    if found != asked:
        names = [name for name in {**found, **asked} if found.get(name) != asked.get(name)]
        raise ConfigurationError(
            f"{path}: its captions were made with other settings ({', '.join(names)} differ); "
            f"write to another file, or remove this one to begin anew\n  in the file: {json.dumps(found)}\n"
            f"  asked for:   {json.dumps(asked)}"
        )


def _cut_half_line(path: Path) -> None:
    with path.open("r+b") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _breaks_line(text: str) -> bool:
    return any(separator in text for separator in "\t\r\n")
