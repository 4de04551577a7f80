"""`flair-espvr demo`: a page to try a saved tagger on, or the files of a Hugging Face Space with it."""

import argparse
import warnings
from pathlib import Path
from threading import Event

from flair_espvr.commands.device import chosen_device
from flair_espvr.commands.options import add_trust, quiet_flair

HELP = "serve a page to try a saved model on: text and picture in, entities and boxes out"

_EPILOG = """\
The page needs the demo extra: pip install "flair-espvr[demo]". It is served to this machine only, unless --host says
otherwise, loads nothing from other hosts and tells them nothing. What visitors upload is bounded, kept for an hour at
most, and no path or address that they name is opened; docs/serving.md has the bounds and the API. Ctrl-C ends it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or a folder of save_pretrained")
    parser.add_argument("--port", type=int, help="where to listen (default: the first free one from 7860 on)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for other machines (default: %(default)s)"
    )
    parser.add_argument("--examples", metavar="POSTS", help="a file or folder of posts to show as examples")
    parser.add_argument("--title", help="the page's heading")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write a Hugging Face Space and serve nothing")
    parser.add_argument("--device", help="where to compute, e.g. cpu or cuda:1 (default: a GPU if there is one)")
    add_trust(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 where files were written; a page is served until it is interrupted.

    Raises:
        ConfigurationError: the `demo` extra is not installed, or a Space was asked for of a model that is not ours.
        EspvrError: the model or the examples cannot be read.
        OSError: a file cannot be read or written, or the port is taken.
    """
    import flair

    from flair_espvr.errors import ConfigurationError
    from flair_espvr.models.loading import load_tagger
    from flair_espvr.models.tagger import MultimodalTagger

    try:
        from flair_espvr.web.demo import TITLE, example_posts, running_demo
        from flair_espvr.web.space import export_space
    except ModuleNotFoundError as error:
        if error.name not in ("gradio", "gradio_client"):
            raise
        raise ConfigurationError('the page needs Gradio: pip install "flair-espvr[demo]"') from error

    quiet_flair()
    warnings.filterwarnings("ignore", "'HTTP_422_UNPROCESSABLE_ENTITY'")  # Gradio's own use of Starlette
    flair.device = chosen_device(arguments.device)
    title = arguments.title or TITLE
    tagger = load_tagger(arguments.model, trusted=arguments.trust)
    if arguments.export is not None:
        if not isinstance(tagger, MultimodalTagger):
            raise ConfigurationError(
                f"--export: {arguments.model} is one of Flair's own, whose file a Space cannot trust"
            )
        for path in export_space(tagger, arguments.export, title=title):
            print(path)
        return 0
    examples = [] if arguments.examples is None else example_posts(arguments.examples)
    with running_demo(tagger, title=title, examples=examples, host=arguments.host, port=arguments.port) as address:
        print(f"{address} (Ctrl-C ends it)", flush=True)
        Event().wait()
    return 0
