"""`flair-espvr quickstart`: train on the bundled posts, tag unseen ones, show where the pictures support the names."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from flair_espvr.commands.options import quiet_flair

HELP = "train a small tagger on bundled posts and pictures, tag unseen posts, write a report (a few minutes)"

_NEXT = """\
What to run next, on your own posts:
  from flair.data import Sentence
  from flair_espvr import MultimodalTagger
  tagger = MultimodalTagger.load("{model}")
  sentence = Sentence("Kevin Durant enters Oracle Arena")
  sentence.add_metadata("image", "durant.jpg")
  tagger.predict(sentence)
  for span in sentence.get_spans("ner"):
      print(span.text, span.tag, span.score, span.get_label("ner").metadata.get("region"))

To train on your own posts, put train.txt, valid.txt and test.txt (an IMGID:<id> line, then word<TAB>tag lines, a blank
line after each post) into a folder, its pictures beside them, and give both to MultimodalCorpus: see the README.
This tagger has seen {posts} drawn pictures. It shows how things work; it does not know your pictures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("espvr-quickstart"),
        metavar="FOLDER",
        help="where model, region store and report go (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, help="of the random numbers (default: the recipe's first)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 0 when the report is written.

    Raises:
        ConfigurationError: the `offline` extra is not installed.
    """
    import flair

    from flair_espvr.io.packaged import packaged_folder
    from flair_espvr.models.capabilities import MapsEntities
    from flair_espvr.report import write_report
    from flair_espvr.training.build import build_corpus, build_regions, build_tagger, encode_images
    from flair_espvr.training.recipes.recipe_file import load_recipe
    from flair_espvr.training.runs.run import fit
    from flair_espvr.training.trainer.progress import ProgressBar

    quiet_flair()
    recipe = load_recipe(packaged_folder("recipes") / "quickstart.yaml")
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    label_type = recipe.corpus.label_type
    corpus = build_corpus(recipe.corpus)
    splits = {"training": corpus.train, "development": corpus.dev, "test": corpus.test}
    print(f"Posts: {', '.join(f'{len(split)} {name}' for name, split in splits.items())} (written and drawn by us)")
    assert recipe.regions is not None
    regions = build_regions(recipe.regions.model_copy(update={"store": out / "regions"}))
    encode_images(list(corpus.get_all_sentences()), regions)

    seed = recipe.seeds[0] if arguments.seed is None else arguments.seed
    f1 = {}
    for title, pictures in (("without pictures", None), ("with pictures", regions)):
        flair.set_seed(seed)
        tagger = build_tagger(recipe, corpus, pictures)
        with tempfile.TemporaryDirectory() as scratch:  # for Flair's own files, which nobody needs here
            fit(tagger, corpus, recipe.training, Path(scratch), plugins=[ProgressBar(f"Training {title:<16}")])
        f1[title] = 100 * tagger.evaluate(corpus.test, gold_label_type=label_type, mini_batch_size=16).main_score
    tagger.save(out / "model.pt")
    maps: dict[str, Any] = {"return_relevance": True} if isinstance(tagger, MapsEntities) else {}
    tagger.predict(list(corpus.test), label_name="predicted", mini_batch_size=16, **maps)

    scores = (
        f"Span-F1 on {len(corpus.test)} unseen posts: " + ", ".join(f"{f1[title]:.1f} {title}" for title in f1) + "."
    )
    report = write_report(
        corpus.test,
        out / "report.html",
        label_type="predicted",
        gold_label_type=label_type,
        title="Quickstart: names that only a picture can type",
        introduction=[
            f"Two taggers were trained on {len(corpus.train)} posts, one of them without the pictures. {scores}",
            "This page shows the one with pictures. None of its names and pictures were seen in training. Each box is "
            "the part of the picture that the tagger looked at for that name; tick “show” for all that it looked at.",
        ],
    )
    print(f"\n{scores}\nModel:  {out / 'model.pt'}\nReport: {report} (open it in a browser)\n")
    print(_NEXT.format(model=out / "model.pt", posts=len(corpus.train)))
    return 0
