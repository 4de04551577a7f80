"""What a folder of posts brings along, by one rule for commands and corpora: pictures, captions and other contexts."""

from pathlib import Path

from flair_espvr.data.formats.contexts import CONTEXT_FILES


def image_folder(folder: Path) -> Path:
    """Where its pictures are: in its folder `images` or, where there is none, beside the posts."""
    return images if (images := folder / "images").is_dir() else folder


def context_files(folder: Path) -> dict[str, Path]:
    """Those of `CONTEXT_FILES` that are there, by metadata key."""
    return {key: path for key, name in CONTEXT_FILES.items() if (path := folder / name).is_file()}
