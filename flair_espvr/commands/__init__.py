"""One module per command: `HELP`, `add_arguments(parser)` and `run(arguments) -> exit code`, which imports the rest."""

NAMES = (
    "quickstart",
    "train",
    "predict",
    "evaluate",
    "table",
    "search",
    "recipe",
    "regions",
    "caption",
    "objects",
    "read",
    "convert",
    "check",
    "demo",
)

FOUND_BAD = 3
"""Exit code: all was done, but something bad was found on the way (a broken picture, a repeated post)."""
