"""The `flair-espvr` program: one module per command, imported only when its command is asked for."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from flair_espvr import __version__, commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command line without the program's name; `sys.argv[1:]` by default.

    Returns:
        0 on success, 1 on an error that the user can mend, 2 on wrong arguments, 3 where all was done but something bad
        was found on the way (a broken picture, say), 130 when interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="flair-espvr",
        description="Multimodal named entity recognition: text and picture in, entities, scores and regions out.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {name: importlib.import_module(f"{commands.__name__}.{name}") for name in commands.NAMES}
    for name, module in modules.items():
        module.add_arguments(subparsers.add_parser(name, help=module.HELP, description=module.HELP))
    parsed = parser.parse_args(arguments)
    try:
        return modules[parsed.command].run(parsed)
    except BrokenPipeError:  # the reader of our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        from flair_espvr.errors import EspvrError
        from flair_espvr.io.printable import printable

        if isinstance(error, EspvrError | OSError):
            message = "\n".join(map(printable, str(error).split("\n")))
            print(f"flair-espvr {parsed.command}: {message}", file=sys.stderr)
            return 1
        raise


if __name__ == "__main__":
    sys.exit(main())
