"""What worker processes do with picture files. Bad pictures come back as values, as everything of a worker must.

Nothing here may import torch or Flair, which every worker would then wait for.
"""

from pathlib import Path

import numpy as np

from flair_espvr.errors import BadImageError
from flair_espvr.images.loading import content_key, image_bytes, squashed_pixels


def key_or_error(path: Path) -> bytes | BadImageError:
    """Return a picture file's content key, or why it has none."""
    try:
        return content_key(image_bytes(path))
    except BadImageError as error:
        return _bare(error)


def key_and_pixels_or_error(path: Path, image_size: int) -> tuple[bytes, np.ndarray] | BadImageError:
    """Return a picture file's content key and its pixels, uint8 (S,S,3), or why it cannot be read.

    Both come from one reading of the file, so that they belong together.
    """
    try:
        content = image_bytes(path)
        return content_key(content), squashed_pixels(content, image_size)
    except BadImageError as error:
        return _bare(error)


def _bare(error: BadImageError) -> BadImageError:
    """Return the error without the frames that it came through, which hold on to the file's bytes and pixels."""
    return BadImageError(error.source, error.reason)


def crashed(path: Path) -> BadImageError:
    """Return what stands for the result of a picture that ended its process."""
    return BadImageError(str(path), "reading it ends the process (a defect of the decoder, or too little memory)")
