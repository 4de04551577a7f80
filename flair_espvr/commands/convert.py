"""`flair-espvr convert`: posts from one file format to another."""

import argparse

HELP = "convert posts between JSONL, IMGID column files and CoNLL, and from other formats"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    formats = ("jsonl", "imgid", "conll")
    parser.add_argument("source", metavar="IN", help="the file to read")
    parser.add_argument("target", metavar="OUT", help="the file to write; it is replaced whole, or left as it was")
    parser.add_argument(
        "--from",
        dest="source_format",
        choices=(*formats, "conll2003", "gmner"),
        help="format of IN (default: told by its first line); conll2003 has three columns or more, the tag last; "
        "gmner is a txt/SPLIT.txt of Twitter-GMNER, with its xml",
    )
    parser.add_argument(
        "--to", dest="target_format", choices=formats, help="format of OUT (default: told by its suffix)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say what was written and what the new format cannot say."""
    from flair_espvr.data.formats.convert import convert_posts
    from flair_espvr.data.formats.detect import format_by_suffix, format_of

    source_format = arguments.source_format or format_of(arguments.source)
    target_format = arguments.target_format or format_by_suffix(arguments.target)
    done = convert_posts(arguments.source, arguments.target, source_format=source_format, target_format=target_format)
    print(f"{done.posts} posts: {arguments.source} ({source_format}) -> {arguments.target} ({target_format})")
    if done.repaired_tags:
        print(
            f"{done.repaired_tags} I- tags without a predecessor of their type became B-: JSONL has entities, not tags"
        )
    if done.lost_captions:
        print(f"{done.lost_captions} captions were left behind: keep them in a captions file")
    return 0
