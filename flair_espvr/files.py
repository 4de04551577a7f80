"""Files: results that a kill or a full disk leaves old or new, never half; and those that packages bring."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from flair_espvr.errors import ConfigurationError


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


def packaged_folder(name: str) -> Path:
    """The folder `recipes` or `resources`: inside the package when that was installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


def resolve_packaged(name: str) -> str:
    """A model's name or path as it is, or the path of a file that an installed Python package brings.

    Args:
        name: `package:NAME/PATH` for a file or folder inside the package NAME, which is found but not imported: the
            weights of the `offline` extra come in packages that would ask for more than their files.

    Raises:
        ConfigurationError: the package is not installed, or has no such file.
    """
    if not name.startswith("package:"):
        return name
    package, _, path = name.removeprefix("package:").partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            f"{name}: the package {package} is not installed; try: pip install 'flair-espvr[offline]'"
        )
    file = Path(spec.origin).parent / path
    if not file.exists():
        raise ConfigurationError(f"{name}: the package {package} has no {path}")
    return str(file)


def _umask() -> int:
    """The process's umask, which only setting it tells: `mkstemp` makes files private, and a result should not be."""
    umask = os.umask(0)
    os.umask(umask)
    return umask
