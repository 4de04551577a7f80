"""`flair-espvr evaluate`: score a model file on any corpus, its own or another (the cross-domain test)."""

import argparse
from pathlib import Path

from flair_espvr.commands.options import add_overrides, add_tagger, quiet_flair

HELP = "score a model on a corpus, with tags read leniently and strictly"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_tagger(parser)
    parser.add_argument(
        "corpus",
        metavar="CORPUS",
        help="twitter_2015, twitter_2017, a recipe (its corpus), a folder of posts, or one file of posts",
    )
    parser.add_argument("--split", choices=("train", "dev", "test"), default="test", help="default: %(default)s")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="pictures by image id")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="captions by image id")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also keep gold and predicted entities, as JSON lines")
    add_overrides(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; 0 when the scores are printed."""
    import flair

    from flair_espvr.commands.device import chosen_device
    from flair_espvr.evaluation.evaluate import evaluate
    from flair_espvr.evaluation.predictions_file import write_predictions
    from flair_espvr.models.loading import load_tagger
    from flair_espvr.training.build import build_corpus
    from flair_espvr.training.recipes.recipe_file import load_corpus_section

    places = {"images": arguments.images, "captions": arguments.captions}
    overrides = [f"corpus.{name}={path}" for name, path in places.items() if path is not None]
    section = load_corpus_section(arguments.corpus, [*overrides, *arguments.set])
    quiet_flair()
    flair.device = chosen_device(arguments.device)
    corpus = build_corpus(section)
    result = evaluate(
        load_tagger(arguments.model, trusted=arguments.trust),
        getattr(corpus, arguments.split) or (),
        gold_label_type=section.label_type,
        mini_batch_size=arguments.batch_size,
        amp=arguments.amp,
        edition=corpus.edition,
        verbose=True,
    )
    if arguments.out is not None:
        write_predictions(arguments.out, result.gold, result.predicted)
    print(f"{result.lenient.to_markdown()}\n{result.strict.to_markdown()}")
    return 0
