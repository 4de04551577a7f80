"""One module per command: `HELP`, `add_arguments(parser)`, `run(arguments) -> exit code`; heavy imports are in `run`."""

NAMES = ("quickstart", "regions", "convert", "check")
