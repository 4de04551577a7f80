"""`flair-espvr recipe`: list those that come along, check some, or show one with all it inherits and its defaults."""

import argparse
import re
import sys
from itertools import groupby, takewhile
from operator import attrgetter
from pathlib import Path

from flair_espvr.commands.options import add_overrides, quiet_flair

HELP = "write a recipe for one's own posts, check recipes, tables and searches, list those that come along, show one"

_GROUPS = {
    ".": "First steps, on posts and weights that come along",
    "multilingual": "Posts in other languages than English",
    "offline_ablation": "Flair's tagger and ESPVR's head, one change at a time, on small weights",
    "offline_base/twitter_2017": "Twitter-2017 on a base-size encoder out of Python packages",
    "offline_tuned/twitter_2015": "Twitter-2015 on small weights, with what a search chose, where it was run",
    "offline_tuned/twitter_2017": "Twitter-2017 on small weights, with what a search chose, where it was run",
    "offline/twitter_2015": "Twitter-2015 on small weights that install without a model hub",
    "offline/twitter_2017": "Twitter-2017 on small weights that install without a model hub",
    "search": "Grid searches",
    "search/offline": "Grid searches on Twitter-2017 and small weights, one for each system",
    "tables": "Tables: every recipe of a comparison, every seed",
    "twitter_2015": "Twitter-2015, with the papers' encoders and settings",
    "twitter_2017": "Twitter-2017, with the papers' encoders and settings",
}
"""What the folders of recipes hold."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="print the recipes, tables and searches that come with the package")
    check = actions.add_parser("check", help="report every mistake of recipes, tables and searches")
    check.add_argument("files", type=Path, nargs="+", metavar="FILE")
    new = actions.add_parser("new", help="look at a folder of posts, and write a recipe to begin with")
    new.add_argument("folder", type=Path, metavar="FOLDER", help="files of posts, with pictures and captions if any")
    new.add_argument("--out", type=Path, metavar="FILE", help="the recipe to write (default: FOLDER's name, .yaml)")
    show = actions.add_parser("show", help="print the resolved recipe, with every default")
    show.add_argument("recipe", type=Path, metavar="RECIPE")
    for action in (check, show):
        add_overrides(action)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 1 where a file has mistakes."""
    if arguments.action == "list":
        return _list()
    if arguments.action == "check":
        return _check(arguments)
    if arguments.action == "new":
        return _new(arguments)
    from flair_espvr.training.recipes.recipe_file import load_recipe

    print(load_recipe(arguments.recipe, arguments.set).to_yaml().rstrip())
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.io.atomic import write_text
    from flair_espvr.training.recipes.starter import starter_recipe

    folder: Path = arguments.folder
    target: Path = arguments.out or Path(f"{folder.resolve().name}.yaml")
    if target.exists():
        raise ConfigurationError(f"{target}: is there already; name another file with --out")
    quiet_flair()
    write_text(target, starter_recipe(folder, target))
    print(f"{target}: written. Check it with `flair-espvr recipe check {target}`; its comments say what was found")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from flair_espvr.training.experiment_check import check_experiment

    quiet_flair()
    mistaken = False
    for path in arguments.files:
        messages = check_experiment(path, arguments.set)
        for message in messages:
            print(message, file=sys.stderr)
        if not messages:
            print(f"{path}: no mistakes")
        mistaken = mistaken or bool(messages)
    return 1 if mistaken else 0


def _list() -> int:
    """Print the recipes folder by folder, each with the first sentence of its header."""
    from flair_espvr.io.packaged import packaged_folder

    folder = packaged_folder("recipes")
    for place, paths in groupby(
        sorted(folder.rglob("*.yaml"), key=lambda path: (path.parent, path)), attrgetter("parent")
    ):
        name = place.relative_to(folder).as_posix()
        print(f"\n{_GROUPS.get(name, name)}")
        for path in paths:
            print(f"  {path.relative_to(folder.parent)}  {_first_sentence(path)}")
    return 0


def _first_sentence(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        header = " ".join(line.lstrip("# ").strip() for line in takewhile(lambda line: line.startswith("#"), file))
    return re.split(r"(?<=\.) (?=[A-Z])", header, maxsplit=1)[0]
