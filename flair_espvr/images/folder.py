"""Pictures in a folder: all of them, or found by the ids that posts give."""

import os
from collections import defaultdict
from pathlib import Path

from flair_espvr.errors import BadImageError, ConfigurationError
from flair_espvr.images.loading import is_image

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}


class ImageFolder:
    """The pictures of a folder, by image id: `find("17_06_1")` is the folder's `17_06_1.jpg`, `.png`, `.webp`, ...

    The folder is listed once, when the object is made. What is a picture is told by a file's first bytes, never by its
    suffix: real corpora are full of PNG files called `.jpg` and of error pages saved as pictures.

    Args:
        folder: a folder of pictures; subfolders are not entered.

    Attributes:
        folder: the same.
        ambiguous: the ids asked for so far that several pictures answer to; the first by name was taken.
        not_images: the files asked for so far that are named like a picture and are none.

    Raises:
        ConfigurationError: the folder is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.ambiguous: set[str] = set()
        self.not_images: set[Path] = set()
        if not self.folder.is_dir():
            raise ConfigurationError(f"{folder}: expected a folder of pictures, named <image id>.jpg, .png, ...")
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        with os.scandir(self.folder) as entries:
            for name in sorted(entry.name for entry in entries if entry.is_file()):
                stem, dot, _ = name.rpartition(".")
                for image_id in {name, stem} if dot else {name}:
                    self._names[image_id].append(name)

    def find(self, image_id: str) -> Path | None:
        """Return the picture `<image_id>.<any suffix>` or `<image_id>`, or `None`.

        Ids are looked up among the names in the folder, so one with `/` or `..` in it finds nothing.
        """
        pictures = []
        for name in self._names.get(image_id, ()):
            path = self.folder / name
            if _begins_as_image(path):
                pictures.append(path)
            else:
                self.not_images.add(path)
        if len(pictures) > 1:
            self.ambiguous.add(image_id)
        return pictures[0] if pictures else None


def find_images(folder: str | Path) -> list[Path]:
    """Return the files below a folder that are pictures by their first bytes or by their suffix, in order.

    Links to folders are followed, each folder is entered once.
    """
    pictures, entered = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(parent) in entered:
            folders.clear()
            continue
        entered.add(os.path.realpath(parent))
        folders.sort()
        files = (path for name in sorted(names) if (path := Path(parent, name)).is_file())  # no pipe, which would wait
        pictures += [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES or _begins_as_image(path)]
    return pictures


def _begins_as_image(path: Path) -> bool:
    """`is_image`, where a file that cannot be opened is none."""
    try:
        return is_image(path)
    except BadImageError:
        return False
