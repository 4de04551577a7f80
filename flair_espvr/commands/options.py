"""What several commands share: options, and how loud Flair is."""

import argparse
import logging
import sys
import warnings
from pathlib import Path


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """`--set a.b=c`, which changes a recipe."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=VALUE",
        help="change a setting, for instance training.max_epochs=3 (may be repeated)",
    )


def add_tagger(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """`MODEL`, which may be optional, and how it tags: `--batch-size`, `--device`, `--amp`, `--trust`."""
    parser.add_argument(
        "model",
        type=Path,
        nargs="?" if optional else None,
        metavar="MODEL",
        help="a model file, or a folder of save_pretrained; package:NAME/PATH for one in an installed package",
    )
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="posts at once (default: %(default)s)")
    parser.add_argument("--device", help="where to compute, e.g. cpu or cuda:1 (default: a GPU if there is one)")
    parser.add_argument(
        "--amp",
        action="store_true",
        help="mixed precision: faster, and nearly always the same tags (no effect on a CPU without bfloat16)",
    )
    add_trust(parser)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """`--trust`, for files of Flair's own taggers."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="also accept a file of Flair's own tagger, whose loader runs any code that the file holds",
    )


CONTEXT_OPTIONS = {"captions": "caption", "tags": "tags", "ocr": "ocr", "knowledge": "knowledge", "objects": "objects"}
"""Options that name a file of contexts, and the metadata key of what is in it."""


def add_contexts(parser: argparse.ArgumentParser) -> None:
    """`--captions FILE` and its like."""
    for option in CONTEXT_OPTIONS:
        form = "JSONL" if option == "objects" else "TSV or JSONL"
        parser.add_argument(f"--{option}", type=Path, metavar="FILE", help=f"{option} by image id, {form}")


def given_contexts(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return the files that the options of `add_contexts` name, by option."""
    files = {option: getattr(arguments, option) for option in CONTEXT_OPTIONS}
    return {option: path for option, path in files.items() if path is not None}


def warn_without_images(tagger: object, any_image: bool) -> None:
    """Says so where a model that reads pictures was given none: its scores are not those of its recipe."""
    from flair_espvr.models.capabilities import ReadsImages

    if isinstance(tagger, ReadsImages) and tagger.region_embeddings is not None and not any_image:
        print(
            "warning: the model reads pictures, and no post has one; put them into a folder images beside the posts, "
            "or name their folder with --images",
            file=sys.stderr,
        )


def add_runs_folder(parser: argparse.ArgumentParser) -> None:
    """`--out FOLDER`, the folder of all runs."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs"),
        metavar="FOLDER",
        help="where runs are looked for and made (default: %(default)s)",
    )


def quiet_flair() -> None:
    """Keep Flair's log lines and bars off the terminal, where ours say enough; files of a run still get the lines."""
    from flair_espvr.flair_compat import keep_off_terminal  # Flair sets its handlers up when it is imported

    keep_off_terminal()
    # Flair 0.15.1's trainer makes its gradient scaler and autocast by names that torch has renamed.
    warnings.filterwarnings("ignore", r".torch\.cuda\.amp\.", FutureWarning)
    logging.getLogger("transformers.tokenization_utils_base").addFilter(_is_no_false_alarm)


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    """Whether a record is other than what transformers 4.57.3 to 4.57.6 say of any folder with a large vocabulary."""
    return "with an incorrect regex pattern" not in record.getMessage()
