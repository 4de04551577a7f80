"""`flair-espvr train`: one recipe, all its seeds, each run in a folder of its own."""

import argparse
from pathlib import Path

from flair_espvr.commands.options import add_overrides, add_runs_folder, quiet_flair

HELP = "train a recipe's model, once per seed, and test it; runs that are done are skipped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file, see recipes/")
    add_runs_folder(parser)
    parser.add_argument(
        "--seed", type=int, action="append", help="only this one (may be repeated; default: the recipe's)"
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        help="keep the state after every epoch, and go on from it after a kill (default: as the recipe says, which is "
        "yes if it says nothing)",
    )
    parser.add_argument(
        "--multi-gpu",
        action="store_true",
        help="train on all GPUs of this machine, a process each, which share every batch; such a run cannot be resumed",
    )
    add_overrides(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 0 when every seed is trained and tested."""
    from flair_espvr.training.recipes.recipe_file import load_recipe
    from flair_espvr.training.runs.run import run as run_once
    from flair_espvr.training.runs.run_folder import RunFolder

    resume = [] if arguments.resume is None else [f"training.resume={str(arguments.resume).lower()}"]
    if arguments.multi_gpu:
        resume = ["training.multi_gpu=true", *(resume or ["training.resume=false"])]
    recipe = load_recipe(arguments.recipe, [*arguments.set, *resume])
    quiet_flair()
    name = arguments.recipe.stem
    for seed in arguments.seed or recipe.seeds:
        folder = RunFolder.of(arguments.out, name, recipe, seed)
        run_once(recipe, seed=seed, folder=folder, description=f"{name}, seed {seed}")
        print(f"{folder.path}\n{folder.read_scores()['lenient'].to_markdown()}")
    return 0
