"""Reading pictures that strangers posted: an upright RGB picture or a `BadImageError`, never anything else."""

import functools
import io
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from flair_espvr.errors import BadImageError
from flair_espvr.io.recent import Recent

if TYPE_CHECKING:
    import torch

ImageSource: TypeAlias = "str | Path | bytes | io.BytesIO | Image.Image | np.ndarray | torch.Tensor"
"""What a sentence may carry as its picture: a path, the bytes of a picture file, an opened picture, or its pixels.

Pixels are uint8: an array (H, W, 3), or a tensor (3, H, W) or (H, W, 3).
"""

_PlainSource: TypeAlias = str | Path | bytes | Image.Image

MAX_PIXELS = 64 * 1024 * 1024
"""Pixels (width times height) beyond which a picture is refused undecoded: as RGB it would take over 192 MiB."""

MAX_BYTES = 64 * 1024 * 1024
"""Size in bytes beyond which a picture file is refused unread."""


class PathBelow(str):
    """The path of a picture that a stranger named: it is read only where it is below a folder, links followed.

    Args:
        path: as the post gives it.
        folder: what it must be below.
    """

    folder: Path

    def __new__(cls, path: str, folder: Path) -> "PathBelow":
        """Return the text of `path`, with the folder as an attribute."""
        self = super().__new__(cls, path)
        self.folder = folder
        return self

    @property
    def is_outside(self) -> bool:
        """Whether it leads out of the folder."""
        return not Path(os.path.realpath(self)).is_relative_to(os.path.realpath(self.folder))

    def __getnewargs__(self) -> tuple[str, Path]:  # type: ignore[override]  # str's is of one part
        return str(self), self.folder


KEY_BYTES = 16
"""Length of a content key; two of a billion different pictures share one with a chance below 1e-20."""

_LONGEST_NAME = 1000
"""Characters beyond which a picture's name is cut in messages."""

_SNIFFED_BYTES = 12
"""Of a file, enough to tell its format."""

# Only these of Pillow's decoders ever see the bytes: the others are rare, slow, or start other programs (EPS).
_FIRST_BYTES = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "WEBP": (b"RIFF",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}

_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIF": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
}
"""Of files whose second four bytes are `ftyp`, the third four."""

_WEB_ADDRESSES = ("http:", "https:", "ftp:", "data:")

# Pillow warns about sizes that are judged here, and about oddities (EXIF, palettes) that it nevertheless reads. The
# filter for its modules is set once: changing filters around each picture would change them for other threads too.
for _category in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"PIL\.")

_EXIF_ORIENTATION = 0x0112
_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    shrink_to: int | None = None,
) -> Image.Image:
    """Return the picture as people see it: upright, 8-bit RGB, over white, an animation's first frame.

    JPEG, PNG, WebP, GIF, BMP and TIFF are read, told by their first bytes, whatever the file is called; AVIF where
    Pillow reads it (11.3 and later), HEIC where pi-heif is installed (the extra `heic`). Grey levels of 16 bits keep
    their top 8; 32-bit integers and floats are stretched from their least to their greatest value.

    Args:
        source: path, bytes of a picture file, a `PIL.Image.Image` (its current frame; it is not changed), or pixels.
        max_pixels: limit on width times height, checked before anything is decoded.
        max_bytes: limit on the file's size in bytes, checked before it is read.
        shrink_to: the caller will scale the picture down to this many pixels a side. A JPEG at least four times as
            large may then be decoded at half, a quarter or an eighth of its size, which is several times faster;
            either side stays at least twice `shrink_to`.

    Returns:
        a new picture of mode `"RGB"`.

    Raises:
        BadImageError: whatever is wrong with the picture; `reason` says what.
        TypeError: `source` is no picture.
    """
    source = _plain(source)
    try:
        image = _open(source, max_bytes)
        width, height = image.size
        if width * height > max_pixels:
            raise _bad(source, f"{width} x {height} pixels, more than the limit of {max_pixels:,}")
        if shrink_to is not None and not isinstance(source, Image.Image):
            image.draft(None, (2 * shrink_to, 2 * shrink_to))
        return _upright(_to_rgb(_loaded(image)), image)
    except BadImageError:
        raise
    except Exception as error:  # a decoder fed arbitrary bytes raises nearly everything, from EOFError to struct.error
        raise _bad(source, _plain_reason(error)) from error


def squashed_pixels(source: ImageSource, image_size: int) -> np.ndarray:
    """Return a picture as a backbone takes it: a square of `image_size` pixels, uint8 (S,S,3).

    It is squashed, never cropped: cell (row, column) of an H x W grid is that same cell of the whole picture.

    Raises:
        BadImageError: it cannot be read.
    """
    picture = load_image(source, shrink_to=image_size)
    return np.asarray(picture.resize((image_size, image_size), Image.Resampling.BICUBIC))


def image_bytes(source: str | Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a picture file.

    Raises:
        BadImageError: not a readable, non-empty file of at most `max_bytes`.
    """
    _check_length(source, _status(source).st_size, max_bytes)
    content = _read(source, max_bytes + 1)
    _check_length(source, len(content), max_bytes)
    return content


def is_image(path: str | Path) -> bool:
    """Whether a file begins as a picture does (see `image_format`); what follows may still be damaged.

    Raises:
        BadImageError: not a readable, non-empty file.
    """
    _status(path)
    return image_format(_read(path, _SNIFFED_BYTES)) is not None


def is_web_address(source: str) -> bool:
    """Whether a picture's place is an address (`http:`, `https:`, `ftp:`, `data:`), which is never fetched."""
    return source.lower().startswith(_WEB_ADDRESSES)


def _status(source: str | Path) -> os.stat_result:
    """Of a file that may be opened: reading a pipe, a device or `/proc/kmsg` could wait for ever."""
    if isinstance(source, str) and is_web_address(source):
        raise _bad(source, "is a web address, and pictures are not fetched: name a file in its place")
    with _reading(source):
        status = None if isinstance(source, PathBelow) and source.is_outside else os.stat(source)
    if status is None:
        raise _bad(source, "is outside of the folder that pictures may come from (see --images-below)")
    if stat.S_ISDIR(status.st_mode):
        raise _bad(source, "is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _bad(source, "is not a regular file")
    _check_length(source, status.st_size)
    return status


def _read(source: str | Path, length: int) -> bytes:
    with _reading(source), open(source, "rb") as file:
        return file.read(length)


@contextmanager
def _reading(source: str | Path) -> Iterator[None]:
    """Turn what the system says of a file into what is wrong with a picture."""
    try:
        yield
    except FileNotFoundError as error:
        raise _bad(source, "no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be a path (NUL, a lone surrogate)
        raise _bad(source, f"cannot be opened ({getattr(error, 'strerror', None) or error})") from error


def image_format(first_bytes: bytes) -> str | None:
    """`"JPEG"`, `"PNG"`, `"WEBP"`, `"GIF"`, `"BMP"`, `"TIFF"`, `"AVIF"` or `"HEIF"` by a file's first 12 bytes."""
    if first_bytes[4:8] == b"ftyp":
        return next((name for name, brands in _BRANDS.items() if first_bytes[8:12] in brands), None)
    for name, beginnings in _FIRST_BYTES.items():
        if first_bytes.startswith(beginnings) and (name != "WEBP" or first_bytes[8:12] == b"WEBP"):
            return name
    return None


def content_key(source: ImageSource) -> bytes:
    """`KEY_BYTES` bytes that name a picture by its content, so that copies under any name share one key.

    For a path or bytes it is a hash of the file's bytes; for a `PIL.Image.Image`, of its pixels as `load_image` gives
    them. A file is read once as long as its path, size and modification time stay the same.

    Raises:
        BadImageError: the file cannot be read, or the opened picture cannot be decoded.
        TypeError: `source` is no picture.
    """
    source = _plain(source)
    if isinstance(source, bytes):
        return blake2b(source, digest_size=KEY_BYTES).digest()
    if isinstance(source, Image.Image):
        picture = load_image(source)
        return blake2b(picture.tobytes(), digest_size=KEY_BYTES, person=b"%d x %d" % picture.size).digest()
    return _file_keys.key(source)


def describe_source(source: ImageSource) -> str:
    """How messages name a picture: its path, or what kind of object it is."""
    source = _plain(source)
    if isinstance(source, bytes):
        return f"<{len(source):,} bytes with key {content_key(source).hex()[:8]}>"
    if isinstance(source, Image.Image):
        return f"<{source.mode} picture of {source.width} x {source.height} pixels>"
    name = str(source)
    if name[:5].lower() == "data:":  # a whole picture, which no terminal should show
        return f"<data: address of {len(name):,} characters>"
    return name if len(name) <= _LONGEST_NAME else f"{name[:50]}... ({len(name):,} characters)"


def _plain(source: ImageSource) -> _PlainSource:
    """Return a picture as a path, bytes or an opened picture.

    Raises:
        TypeError: it is no picture.
    """
    if isinstance(source, str | Path | bytes | Image.Image):
        return source
    if isinstance(source, os.PathLike):
        return os.fspath(source)
    if isinstance(source, io.BytesIO):
        return source.getvalue()
    torch = sys.modules.get("torch")  # where nobody has imported it, nobody has a tensor
    pixels: Any = source
    if torch is not None and isinstance(source, torch.Tensor):
        pixels = source.detach().cpu().numpy()
        if pixels.ndim == 3 and pixels.shape[0] == 3:
            pixels = pixels.transpose(1, 2, 0)
    if not isinstance(pixels, np.ndarray):
        raise TypeError(
            f"a picture is a path, bytes, BytesIO, a PIL image, or pixels as an array or tensor; got {type(source)}"
        )
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise TypeError(
            f"pixels are uint8 of the shape (H, W, 3), in tensors also (3, H, W); got {pixels.dtype} {source.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


class _FileKeys:
    """Content keys of files already read, the `limit` last used; a file that changed is a new entry."""

    def __init__(self, limit: int) -> None:
        self._keys: Recent[tuple[str, int, int], bytes] = Recent(limit)

    def key(self, path: str | Path) -> bytes:
        status = _status(path)
        seen = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
        key = self._keys.get(seen) or content_key(image_bytes(path))
        self._keys.put(seen, key)
        return key


_file_keys = _FileKeys(limit=100_000)


def _open(source: _PlainSource, max_bytes: int) -> Image.Image:
    if isinstance(source, Image.Image):
        if 0 in source.size:
            raise _bad(source, "has no pixels")
        return source
    if isinstance(source, bytes):
        _check_length(source, len(source), max_bytes)
        content = source
    else:
        content = image_bytes(source, max_bytes=max_bytes)
    format_name = image_format(content[:_SNIFFED_BYTES])
    if format_name is None:
        raise _bad(source, f"is not a picture of a format that is read ({', '.join([*_FIRST_BYTES, *_BRANDS])})")
    if format_name == "AVIF" and not features.check("avif"):
        raise _bad(source, "is AVIF, which this Pillow does not read; Pillow 11.3 and later do")
    if format_name == "HEIF" and not _reads_heif():
        raise _bad(source, "is HEIC, which pi-heif reads: pip install 'flair-espvr[heic]'")
    return Image.open(io.BytesIO(content), formats=[format_name])


@functools.cache
def _reads_heif() -> bool:
    """Whether Pillow can read HEIC from now on."""
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return a copy in 8-bit RGB, with what shows through over white."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey[grey == transparent] = 0xFFFF
        return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        with np.errstate(invalid="ignore"):  # what is no finite number is judged below, without a warning
            levels = np.asarray(image, dtype=np.float64)
        return Image.fromarray(_stretched(levels)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _stretched(levels: np.ndarray) -> np.ndarray:
    """Levels without an agreed white, `(height, width)`, brought to 0..255; a flat picture becomes black."""
    if not np.isfinite(levels).all():
        raise ValueError("has pixels that are not finite numbers")
    low, high = levels.min(), levels.max()
    scaled = (levels - low) * (255.0 / (high - low)) if high > low else np.zeros_like(levels)
    return scaled.round().astype(np.uint8)


def _upright(picture: Image.Image, image: Image.Image) -> Image.Image:
    """`picture` turned as the EXIF data of the `image` it was made from ask; damaged EXIF data ask nothing."""
    try:
        turn = _TO_UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        return picture
    return picture if turn is None else picture.transpose(turn)


def _check_length(source: ImageSource, length: int, max_bytes: int | None = None) -> None:
    if not length:
        raise _bad(source, "is empty")
    if max_bytes is not None and length > max_bytes:
        raise _bad(source, f"{length:,} bytes, more than the limit of {max_bytes:,}")


def _plain_reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "begins like a picture, but is damaged"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return "has more pixels than can be decoded safely"
    return f"is truncated or damaged ({str(error) or type(error).__name__})"


def _bad(source: ImageSource, reason: str) -> BadImageError:
    return BadImageError(describe_source(source), reason)
