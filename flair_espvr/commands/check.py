"""`flair-espvr check`: what leaks between the splits of a corpus, and where its labels are noisy."""

import argparse
from pathlib import Path

HELP = "report posts shared between splits, repeated posts, contradicting labels and invalid tags"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "data_folder",
        metavar="DATA_FOLDER",
        type=Path,
        help="a folder with train, valid or dev, and test as .txt, .conll or .jsonl",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report; the exit code is 0 when nothing was found and 3 when something was."""
    from flair_espvr.data.convert import read_any
    from flair_espvr.data.hygiene import check_splits

    report = check_splits({path.name: read_any(path) for path in split_files(arguments.data_folder)})
    print(report)
    return 0 if report.clean else 3


def split_files(folder: Path) -> list[Path]:
    """The files of posts in a folder, in the order train, development, test.

    Raises:
        ConfigurationError: there are none.
    """
    from flair_espvr.errors import ConfigurationError

    names = [f"{split}.{suffix}" for split in ("train", "valid", "dev", "test") for suffix in ("txt", "conll", "jsonl")]
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise ConfigurationError(f"{folder}: expected files of posts named {', '.join(names)}, found none")
    return files
