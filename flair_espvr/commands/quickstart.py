"""`flair-espvr quickstart`: train on the bundled posts, tag unseen ones, show where the pictures support the names."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flair.data import Sentence

    from flair_espvr.data import MultimodalCorpus
    from flair_espvr.embeddings import ImageRegionEmbeddings
    from flair_espvr.models import ESPVRTagger

HELP = "train a small tagger on bundled posts and pictures, tag unseen posts, write a report (a few minutes)"

_LABEL_TYPE = "ner"
_PREDICTED = "predicted"

_NEXT = """\
What to run next, on your own posts:
  from flair.data import Sentence
  from flair_espvr import ESPVRTagger
  tagger = ESPVRTagger.load("{model}")
  sentence = Sentence("Kevin Durant enters Oracle Arena")
  sentence.add_metadata("image", "durant.jpg")
  tagger.predict(sentence)
  for span in sentence.get_spans("ner"):
      print(span.text, span.tag, span.score, span.get_label("ner").metadata.get("region"))

To train on your own posts, put train.txt, valid.txt and test.txt (an IMGID:<id> line, then word<TAB>tag lines, a blank
line after each post) into a folder, its pictures beside them, and give both to MultimodalCorpus: see the README.
This tagger has seen {posts} drawn pictures. It shows how things work; it does not know your pictures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("espvr-quickstart"),
        metavar="FOLDER",
        help="where model, region store and report go (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; 0 when the report is written.

    Raises:
        ConfigurationError: the `offline` extra is not installed.
    """
    from flair_espvr.embeddings.offline_weights import efficientnet_lite0_checkpoint, minilm_folder

    encoder, backbone = minilm_folder(), efficientnet_lite0_checkpoint()

    from flair_espvr.embeddings import ImageRegionEmbeddings
    from flair_espvr.report import write_report

    logging.getLogger("flair").setLevel(logging.WARNING)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    corpus = _corpus()
    splits = {"training": corpus.train, "development": corpus.dev, "test": corpus.test}
    print(f"Posts: {', '.join(f'{len(split)} {name}' for name, split in splits.items())} (written and drawn by us)")
    regions = ImageRegionEmbeddings("tf_efficientnet_lite0", image_size=256, checkpoint=backbone, store=out / "regions")
    _encode_pictures(corpus, regions)

    text_f1, _ = _train_and_score(corpus, encoder, None, arguments.seed)
    picture_f1, tagger = _train_and_score(corpus, encoder, regions, arguments.seed)
    tagger.save(out / "model.pt")

    scores = f"span-F1 on {len(corpus.test)} unseen posts: {picture_f1:.1f} with pictures, {text_f1:.1f} without."
    report = write_report(
        corpus.test,
        out / "report.html",
        label_type=_PREDICTED,
        gold_label_type=_LABEL_TYPE,
        title="Quickstart: names that only a picture can type",
        introduction=[
            f"A tagger was trained on {len(corpus.train)} posts, one with their pictures and one without. {scores}",
            "None of the names and pictures below were seen in training. Each box is the part of the picture that the "
            "tagger looked at for that name.",
        ],
    )
    print(f"\n{scores}\nModel:  {out / 'model.pt'}\nReport: {report} (open it in a browser)\n")
    print(_NEXT.format(model=out / "model.pt", posts=len(corpus.train)))
    return 0


def _corpus() -> "MultimodalCorpus":
    from flair_espvr.data import MultimodalCorpus
    from flair_espvr.files import resource_folder

    folder = resource_folder() / "quickstart"
    return MultimodalCorpus(folder, images=folder / "images", captions=folder / "captions.tsv", label_type=_LABEL_TYPE)


def _encode_pictures(corpus: "MultimodalCorpus", regions: "ImageRegionEmbeddings") -> None:
    """Brings all pictures into the region store; a second run finds them there."""
    from tqdm import tqdm

    posts: list[Sentence] = list(corpus.get_all_sentences())
    size = regions.batch_size
    for start in tqdm(range(0, len(posts), size), desc="Encoding pictures      ", unit="batch", dynamic_ncols=True):
        regions.regions(posts[start : start + size])


def _train_and_score(
    corpus: "MultimodalCorpus", encoder: Path, regions: "ImageRegionEmbeddings | None", seed: int
) -> "tuple[float, ESPVRTagger]":
    """Trains with the given regions, or on text alone; test F1 in percent, predictions left on the test posts."""
    import tempfile

    import flair
    from flair.trainers import ModelTrainer

    from flair_espvr.embeddings import CaptionedTransformerEmbeddings
    from flair_espvr.models import ESPVRTagger
    from flair_espvr.training.progress import ProgressBar

    flair.set_seed(seed)
    tagger = ESPVRTagger(
        CaptionedTransformerEmbeddings(str(encoder)),
        corpus.make_label_dictionary(_LABEL_TYPE, add_unk=False),
        _LABEL_TYPE,
        region_embeddings=regions,
        window=4,
        hidden_size=256,
        num_layers=1,
        dropout=0.2,
    )
    title = "Training without pictures" if regions is None else "Training with pictures   "
    settings: dict[str, Any] = {"learning_rate": 1e-4, "decoder_learning_rate": 1e-3, "mini_batch_size": 16}
    with tempfile.TemporaryDirectory() as folder:
        ModelTrainer(tagger, corpus).fine_tune(
            folder,
            max_epochs=6,
            plugins=[ProgressBar(title)],
            save_final_model=False,
            create_file_logs=False,
            create_loss_file=False,
            **settings,
        )
    result = tagger.evaluate(corpus.test, gold_label_type=_LABEL_TYPE, mini_batch_size=16)
    return 100 * result.main_score, tagger
