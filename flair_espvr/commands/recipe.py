"""`flair-espvr recipe`: list those that come along, check some, or show one with all it inherits and its defaults."""

import argparse
import sys
from pathlib import Path

from flair_espvr.commands.options import add_overrides

HELP = "list the recipes that come with the package, check recipes, or show one with every default"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="print the recipes, tables and searches that come with the package")
    check = actions.add_parser("check", help="report every mistake of these files")
    check.add_argument("recipes", type=Path, nargs="+", metavar="RECIPE")
    show = actions.add_parser("show", help="print the resolved recipe")
    show.add_argument("recipes", type=Path, nargs=1, metavar="RECIPE")
    for action in (check, show):
        add_overrides(action)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; 1 where a recipe has mistakes."""
    if arguments.action == "list":
        return _list()
    from flair_espvr.errors import EspvrError
    from flair_espvr.training.recipes.recipe_file import load_recipe

    mistaken = 0
    for path in arguments.recipes:
        try:
            recipe = load_recipe(path, arguments.set)
        except (EspvrError, OSError) as error:
            print(error, file=sys.stderr)
            mistaken += 1
            continue
        print(recipe.to_yaml().rstrip() if arguments.action == "show" else f"{path}: no mistakes")
    return 1 if mistaken else 0


def _list() -> int:
    from flair_espvr.io.packaged import packaged_folder

    folder = packaged_folder("recipes")
    for path in sorted(folder.rglob("*.yaml")):
        with path.open(encoding="utf-8") as file:
            print(f"{path.relative_to(folder.parent)}  {file.readline().strip()}")
    return 0
