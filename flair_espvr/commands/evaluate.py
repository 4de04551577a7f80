"""`flair-espvr evaluate`: score a model file, or anybody's predictions, on any corpus (the cross-domain test too)."""

import argparse
import sys
from pathlib import Path
from typing import Any

from flair_espvr.commands.options import (
    add_contexts,
    add_overrides,
    add_tagger,
    given_contexts,
    quiet_flair,
    warn_without_images,
)

HELP = "score a model or a file of predictions on a corpus, with tags read leniently and strictly, and their places"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_tagger(parser, optional=True)
    parser.add_argument(
        "corpus",
        metavar="CORPUS",
        help="twitter_2015, twitter_2017, a recipe (its corpus), a folder of posts, or one file of posts",
    )
    parser.add_argument("--split", choices=("train", "dev", "test"), default="test", help="default: %(default)s")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="pictures by image id")
    parser.add_argument(
        "--images-below",
        type=Path,
        metavar="FOLDER",
        help="show no picture outside of FOLDER on a page, links followed (default: the folder of the posts; for "
        "--images, anywhere)",
    )
    add_contexts(parser)
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="what a system has found, in place of MODEL: these posts as JSONL, in order, as predict writes them",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="also keep each post with its gold and predicted entities, as JSON lines or, where FILE ends in .html, as "
        "a page of what is right, wrong and missed",
    )
    add_overrides(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 0 when the scores are printed.

    Raises:
        ConfigurationError: there is neither a model nor a file of predictions, or there are both.
    """
    import flair

    from flair_espvr.commands.device import chosen_device
    from flair_espvr.data.metadata import IMAGE
    from flair_espvr.data.sentences import bound_images
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.evaluation.evaluate import PREDICTED, evaluate, evaluation, put_predictions, read_tagged
    from flair_espvr.evaluation.predictions_file import write_predictions
    from flair_espvr.models.loading import load_tagger
    from flair_espvr.report import write_report
    from flair_espvr.training.build import build_split
    from flair_espvr.training.recipes.recipe_file import load_corpus_section

    if (arguments.model is None) == (arguments.predictions is None):
        raise ConfigurationError("expected either MODEL or --predictions FILE, to be scored on CORPUS")
    places = {"images": arguments.images, **given_contexts(arguments)}
    overrides = [f"corpus.{name}={path}" for name, path in places.items() if path is not None]
    section = load_corpus_section(arguments.corpus, [*overrides, *arguments.set])
    quiet_flair()
    flair.device = chosen_device(arguments.device)
    corpus = build_split(section, arguments.split)
    posts = list(getattr(corpus, arguments.split) or ())
    print(
        f"{corpus.name}, {arguments.split}: {corpus.summary.get(arguments.split, f'{len(posts)} posts')}",
        file=sys.stderr,
    )
    gold: dict[str, Any] = {"gold_label_type": section.label_type, "edition": corpus.edition}
    if arguments.predictions is not None:
        tagged = read_tagged(arguments.predictions, posts)
        result = evaluation(posts, tagged, label_type=PREDICTED, **gold)
        put_predictions(posts, tagged)
    else:
        tagger = load_tagger(arguments.model, trusted=arguments.trust)
        warn_without_images(tagger, any(post.has_metadata(IMAGE) for post in posts))
        size, amp = arguments.batch_size, arguments.amp
        result = evaluate(tagger, posts, mini_batch_size=size, amp=amp, verbose=True, **gold)
    if arguments.out is not None and arguments.out.suffix in (".html", ".htm"):
        micro = result.lenient.micro
        found = section.images if arguments.images_below is None and isinstance(section.images, Path) else None
        bound_images(posts, arguments.images_below or corpus.data_folder, found_in=found)
        write_report(
            posts,
            arguments.out,
            label_type=PREDICTED,
            gold_label_type=section.label_type,
            title=f"{corpus.name}, {arguments.split}: right, wrong and missed",
            introduction=[f"{arguments.model or arguments.predictions}. Span-F1 {100 * micro.f1:.2f}."],
        )
    elif arguments.out is not None:
        write_predictions(arguments.out, result.gold, result.predicted, result.posts)
    tables = [scores.to_markdown() for scores in (result.lenient, result.strict)]
    print("\n".join([*tables, *(scores.to_markdown() for scores in result.grounding.values())]))
    return 0
