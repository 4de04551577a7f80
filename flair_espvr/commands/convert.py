"""`flair-espvr convert`: posts from one file format to another."""

import argparse
from collections.abc import Mapping
from pathlib import Path

HELP = "convert posts between JSONL, column files and CSV, from plain text and to other tools"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    formats = ("jsonl", "imgid", "conll", "csv")
    parser.add_argument("source", metavar="IN", help="the file to read; for data sets of Hugging Face a folder")
    parser.add_argument(
        "target",
        metavar="OUT",
        help="the file to write; it is replaced whole, or left as it was. For data sets a folder, which must be new",
    )
    parser.add_argument(
        "--from",
        dest="source_format",
        choices=(*formats, "conll2003", "text", "gmner", "datasets"),
        help="format of IN (default: told by its first line, CSV by its suffix); text has one post a line; "
        "conll2003 has three columns or more, the tag last; "
        "gmner is a txt/SPLIT.txt of Twitter-GMNER, with its xml; "
        "datasets is a folder of save_to_disk, which becomes a folder of posts",
    )
    parser.add_argument(
        "--to",
        dest="target_format",
        choices=(*formats, "docbin", "label-studio", "datasets"),
        help="format of OUT (default: told by its suffix); datasets makes a folder for load_from_disk of a folder of "
        "posts or a file",
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="FIELD=NAME",
        help="the column of a CSV file or a data set that has a field of JSONL (text, image, id, caption ...), or "
        "ner_tags, and another name",
    )
    parser.add_argument(
        "--flatten",
        choices=("outermost", "innermost"),
        help="of entities in JSONL or CSV that overlap, keep the longest or the shortest (default: they are an error)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say what was written and what the new format cannot say."""
    from flair_espvr.data.formats.convert import SourceFormat, convert_posts
    from flair_espvr.data.formats.detect import format_by_suffix, format_of, is_saved_dataset
    from flair_espvr.errors import ConfigurationError

    if not all(all(column.partition("=")) for column in arguments.column):
        raise ConfigurationError("--column should be FIELD=NAME, as text=tweet")
    columns = dict(column.split("=", 1) for column in arguments.column)
    if arguments.target_format == "datasets":
        return _write_dataset(arguments)
    if arguments.source_format == "datasets" or is_saved_dataset(arguments.source):
        return _read_dataset(arguments, columns)
    if Path(arguments.source).is_dir():
        raise ConfigurationError(
            f"{arguments.source}: is a folder; name a file of posts in it, or make a data set of it (--to datasets)"
        )
    by_suffix: SourceFormat | None = "csv" if Path(arguments.source).suffix == ".csv" else None
    source_format = arguments.source_format or by_suffix or format_of(arguments.source)
    target_format = arguments.target_format or format_by_suffix(arguments.target)
    done = convert_posts(
        arguments.source,
        arguments.target,
        source_format=source_format,
        target_format=target_format,
        columns=columns,
        flatten=arguments.flatten,
    )
    print(f"{done.posts} posts: {arguments.source} ({source_format}) -> {arguments.target} ({target_format})")
    if done.repaired_tags:
        print(
            f"{done.repaired_tags} I- tags without a predecessor of their type became B-: JSONL has entities, not tags"
        )
    if done.lost_captions:
        print(f"{done.lost_captions} captions were left behind: keep them in a captions file")
    if done.lost_pictures:
        print(f"{done.lost_pictures} pictures were left behind: of several, columns have the first of a post")
    return 0


def _read_dataset(arguments: argparse.Namespace, columns: Mapping[str, str]) -> int:
    """Make a folder of posts of a data set."""
    from flair_espvr.data.formats.hugging_face import load_saved_dataset, write_dataset_posts

    counts = write_dataset_posts(load_saved_dataset(arguments.source), arguments.target, columns=columns)
    shown = ", ".join(f"{split}: {count} posts" for split, count in counts.items())
    print(f"{shown}: {arguments.source} (datasets) -> {arguments.target} (jsonl)")
    return 0


def _write_dataset(arguments: argparse.Namespace) -> int:
    """Make a data set of a folder of posts, or of a file."""
    from flair_espvr.data.formats.hugging_face import read_dataset, save_dataset

    dataset = read_dataset(arguments.source)
    save_dataset(dataset, arguments.target)
    shown = ", ".join(f"{split}: {rows.num_rows} posts" for split, rows in dataset.items())
    print(f"{shown}: {arguments.source} -> {arguments.target} (datasets)")
    return 0
