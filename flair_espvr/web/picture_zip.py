"""Pictures out of a visitor's zip: into one folder and nowhere else, no more of them than announced."""

import io
import stat
import zipfile
from pathlib import Path, PurePosixPath

from flair_espvr.images.folder import PICTURE_SUFFIXES
from flair_espvr.web.limits import MIB, Limits, RefusedError

_DIRECTORY_ENTRY = b"PK\x01\x02"
"""How every entry of a zip's directory begins."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpack_pictures(archive: Path, folder: Path, limits: Limits) -> int:
    """Unpack the pictures of a zip below a folder; other files in it are left out.

    Everything is judged before the first picture is written.

    Args:
        archive: the zip.
        folder: an empty folder.
        limits: how many files, and how large.

    Returns:
        how many pictures there are.

    Raises:
        RefusedError: it is no zip or damaged, has too many or too large files, an encrypted one, a link, or a name
            that leads out of the folder or that a file system does not take.
        OSError: it cannot be read, or a picture not be written.
    """
    content = archive.read_bytes()
    # Counted before zipfile makes an object of each: a directory of a million entries fits into 64 MiB.
    if content.count(_DIRECTORY_ENTRY) > limits.zip_files:
        raise RefusedError(f"The zip has more than {limits.zip_files:,} files.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            for entry in entries:
                _check(entry)
            if sum(entry.file_size for entry in entries) > limits.zip_bytes:
                raise RefusedError(f"The zip's files take more than {limits.zip_bytes // MIB} MiB when unpacked.")
            pictures = [entry for entry in entries if PurePosixPath(entry.filename).suffix.lower() in PICTURE_SUFFIXES]
            for entry in pictures:
                _write(opened, entry, folder, limits)
    except (RefusedError, OSError):
        raise
    except Exception as error:  # zipfile fed arbitrary bytes raises nearly everything, from IndexError to zlib.error
        raise RefusedError(f"The zip cannot be read ({error}).") from None
    return len(pictures)


def _check(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0]:
        raise RefusedError(f"The zip has a file whose name leads elsewhere: {name[:200]!r}.")
    if len(name) > 1_000 or any(len(part.encode(errors="replace")) > 255 for part in path.parts):
        raise RefusedError(f"The zip has a file of a bad name: {name[:200]!r} is too long.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise RefusedError(f"The zip has a link or a device: {name[:200]!r}.")
    if entry.flag_bits & 1:
        raise RefusedError("The zip is encrypted.")
    if entry.compress_type not in _COMPRESSIONS:
        raise RefusedError(f"The zip has a file that is not stored or deflated: {name[:200]!r}.")


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, limits: Limits) -> None:
    if entry.file_size > limits.picture_bytes:
        raise RefusedError(f"A picture is larger than {limits.picture_bytes // MIB} MiB: {entry.filename[:200]!r}.")
    place = folder / entry.filename
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(entry) as packed, place.open("xb") as file:
            file.write(packed.read(entry.file_size))  # never more than the size that was judged
    except FileExistsError:
        raise RefusedError(f"The zip has two files of one name: {entry.filename[:200]!r}.") from None
    except (NotADirectoryError, ValueError) as error:
        raise RefusedError(f"The zip has a file of a bad name: {entry.filename[:200]!r} ({error}).") from None
