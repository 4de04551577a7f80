"""`flair-espvr recipe`: check recipes, or show one with everything that it inherits and leaves to defaults."""

import argparse
import sys
from pathlib import Path

from flair_espvr.commands.options import add_overrides

HELP = "check recipes, or show one with all that it extends and every default"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="report every mistake of these files")
    check.add_argument("recipes", type=Path, nargs="+", metavar="RECIPE")
    show = actions.add_parser("show", help="print the resolved recipe")
    show.add_argument("recipes", type=Path, nargs=1, metavar="RECIPE")
    for action in (check, show):
        add_overrides(action)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; 1 where a recipe has mistakes."""
    from flair_espvr.errors import EspvrError
    from flair_espvr.training.recipe_file import load_recipe

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
