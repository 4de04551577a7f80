"""One module per command: `HELP`, `add_arguments(parser)` and `run(arguments) -> exit code`, which imports the rest."""

NAMES = ("quickstart", "regions", "caption", "convert", "check")
