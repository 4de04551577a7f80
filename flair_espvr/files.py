"""Files: results that a kill or a full disk leaves old or new, never half; and the folder of those that we bring."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` only when the block ends without an error.

    The bytes are written beside `path`, forced to disk and renamed over it; on any error the old file stays as it was.

    Args:
        path: the file to write; its folder must exist.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def resource_folder() -> Path:
    """The bundled posts and pictures: inside the package when it was installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "resources"
    return installed if installed.is_dir() else package.parent / "resources"


def _umask() -> int:
    """The process's umask, which only setting it tells: `mkstemp` makes files private, and a result should not be."""
    umask = os.umask(0)
    os.umask(umask)
    return umask
