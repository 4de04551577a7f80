"""Pictures in a folder, found by the ids that posts give."""

import os
from collections import defaultdict
from pathlib import Path

from flair_espvr.errors import ConfigurationError

SNIFFED_BYTES = 12


class ImageFolder:
    """The pictures of a folder, by image id: `find("17_06_1")` is the folder's `17_06_1.jpg`, `.png`, `.webp`, ...

    The folder is listed once, when the object is made. What is a picture is told by a file's first bytes, never by its
    suffix: real corpora are full of PNG files called `.jpg` and of error pages saved as pictures.

    Args:
        folder: a folder of pictures; subfolders are not entered.

    Attributes:
        folder: the same.
        ambiguous: the ids asked for so far that several pictures answer to; the first by name was taken.
        not_pictures: the files asked for so far that are named like a picture and are none.

    Raises:
        ConfigurationError: the folder is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.ambiguous: set[str] = set()
        self.not_pictures: set[Path] = set()
        if not self.folder.is_dir():
            raise ConfigurationError(f"{folder}: expected a folder of pictures, named <image id>.jpg, .png, ...")
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        with os.scandir(self.folder) as entries:
            for name in sorted(entry.name for entry in entries if entry.is_file()):
                stem, dot, _ = name.rpartition(".")
                for image_id in {name, stem} if dot else {name}:
                    self._names[image_id].append(name)

    def find(self, image_id: str) -> Path | None:
        """The picture `<image_id>.<any suffix>` or `<image_id>`, or `None`.

        Ids are looked up among the names in the folder, so one with `/` or `..` in it finds nothing.
        """
        pictures = []
        for name in self._names.get(image_id, ()):
            path = self.folder / name
            if is_picture(path):
                pictures.append(path)
            else:
                self.not_pictures.add(path)
        if len(pictures) > 1:
            self.ambiguous.add(image_id)
        return pictures[0] if pictures else None


def is_picture(path: str | Path) -> bool:
    """Whether a file begins as JPEG, PNG, GIF, WebP, BMP or TIFF does; what follows may still be damaged."""
    with open(path, "rb") as file:
        start = file.read(SNIFFED_BYTES)
    return start.startswith(
        (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
    ) or (start.startswith(b"RIFF") and start[8:12] == b"WEBP")
