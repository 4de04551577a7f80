"""Do pictures matter, to which system, and does positioning point at what a name stands for?

    python -m benchmarks.grounding CACHE

Draws the corpus of `synthetic.scenes` into the folder CACHE, encodes its pictures once, trains a tagger for every
configuration and seed, each in a process of its own, and prints one Markdown table. Finished runs are kept in
`CACHE/results.jsonl`, one JSON line each: a run that was killed is done again, one that ended is not. Chance is a
span-F1 of about 25. Systems that read objects are given those that were drawn, a third of them mislabelled or missing.
"""

import argparse
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import flair
import numpy as np
import torch
from flair.data import Sentence

from benchmarks.drawn_objects import TYPE_WORDS, add_noisy_objects
from benchmarks.pointing import pointing
from benchmarks.results import finished_results, mean_and_deviation
from benchmarks.training import add_training_options, do_missing_runs, espvr_sizes, fine_tune, run_settings
from flair_espvr import CaptionedTransformerEmbeddings, ImageRegionEmbeddings, MultimodalCorpus
from flair_espvr.data.metadata import IMAGE, IMAGE_ID
from flair_espvr.io.packaged import EFFICIENTNET_LITE0, MINILM_L6
from flair_espvr.models.registry import model_class
from flair_espvr.nn.config import ObjectLabelConfig
from flair_espvr.training.build import encode_images
from synthetic.scenes import BOXES, IMAGES, read_boxes, write_scenes

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Configuration:
    """One row of the table.

    Attributes:
        pictures: what the row is called.
        model: the model's own hyperparameters.
        system: the model's name; `"espvr"` also takes the sizes of the command line.
        shuffled: give every post the picture of another post of its split, in training and in testing.
    """

    pictures: str
    model: Mapping[str, Any] = field(default_factory=dict)
    shuffled: bool = False
    system: str = "espvr"


PAPER: Mapping[str, Any] = MappingProxyType({"window_placement": "paper"})

CONFIGURATIONS: Mapping[str, Configuration] = MappingProxyType(
    {
        "none": Configuration("none", {"regions": "none"}),
        "shuffled": Configuration("shuffled between posts, positioned", PAPER, shuffled=True),
        "all": Configuration("all regions", {"regions": "all"}),
        "hard": Configuration("positioned, hard", {**PAPER, "positioning": "hard"}),
        "straight_through": Configuration("positioned, straight-through", PAPER),
        "centered": Configuration("positioned, straight-through, centered", {"window_placement": "centered"}),
        "umt": Configuration("UMT", system="umt"),
        "maf": Configuration("MAF", system="maf"),
        "gvatt": Configuration("GVATT over BERT", system="gvatt"),
        "gvatt_joint": Configuration("GVATT over BERT, joint attention", {"attention": "joint"}, system="gvatt"),
        "adacan": Configuration("AdaCAN over BERT", system="adacan"),
        "adacan_joint": Configuration("AdaCAN over BERT, joint attention", {"attention": "joint"}, system="adacan"),
        "ita": Configuration("ITA, no contexts", system="ita"),
        "umgf": Configuration("UMGF, noisy objects", system="umgf"),
        "mgcmt": Configuration("MGCMT, noisy objects", system="mgcmt"),
        "m3s": Configuration("M3S, an interpretation, noisy objects", system="m3s"),
        "uamner": Configuration("UAMNer, an interpretation", system="uamner"),
        "hvpnet": Configuration("HVPNeT", system="hvpnet"),
    }
)


def run(options: argparse.Namespace, *, configuration: str, seed: int) -> dict[str, Any]:
    """Train and test once, in a process that has done nothing else.

    Returns:
        `f1` and, where regions are positioned, the shares of `pointing`, all in percent; `step`, seconds of a training
        step with its share of evaluations, `predict`, milliseconds a post, `parameters`, millions without encoder, and
        `memory`, the most that the process had of the machine's, in MiB.
    """
    chosen = CONFIGURATIONS[configuration]
    torch.set_num_threads(options.threads)
    flair.set_seed(seed)
    corpus = read_corpus(options)
    if chosen.shuffled:
        for split in (corpus.train, corpus.dev, corpus.test):
            shuffle_pictures(list(split), np.random.default_rng(seed))
    tagger = model_class(chosen.system)(
        CaptionedTransformerEmbeddings(options.encoder, fine_tune=True),
        corpus.make_label_dictionary("ner", add_unk=False),
        "ner",
        region_embeddings=regions_of(options),
        **hyperparameters(chosen, options),
    )
    step = fine_tune(tagger, corpus, options)
    score = tagger.evaluate(corpus.test, gold_label_type="ner", mini_batch_size=options.batch_size).main_score
    posts = list(corpus.test)
    start = time.perf_counter()
    tagger.predict(posts, mini_batch_size=options.batch_size, label_name="timed")
    result = {
        "f1": 100 * score,
        "step": step,
        "predict": 1000 * (time.perf_counter() - start) / len(posts),
        "parameters": sum(parameter.numel() for parameter in tagger.network.parameters()) / 1e6,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    points = chosen.system == "espvr"
    return result | (pointing(tagger, posts, read_boxes(options.corpus)) if points else {})


def read_corpus(options: argparse.Namespace) -> MultimodalCorpus:
    """Return the drawn posts, each with what a detector of mediocre eyesight found in its picture."""
    corpus = MultimodalCorpus(options.corpus, images=options.corpus / IMAGES)
    add_noisy_objects(list(corpus.get_all_sentences()), read_boxes(options.corpus))
    return corpus


def hyperparameters(chosen: Configuration, options: argparse.Namespace) -> dict[str, Any]:
    """Those of a row's model that are not the model's own defaults."""
    sizes = espvr_sizes(options) if chosen.system == "espvr" else {}
    reads_labels = issubclass(model_class(chosen.system).config_class, ObjectLabelConfig)
    labels = {"object_labels": tuple(TYPE_WORDS.values())} if reads_labels else {}
    return {**sizes, **labels, **chosen.model}


def regions_of(options: argparse.Namespace) -> ImageRegionEmbeddings:
    """Return the regions of the drawn pictures, each computed once for all runs."""
    return ImageRegionEmbeddings(
        options.backbone,
        checkpoint=options.checkpoint,
        image_size=options.image_size,
        store=options.cache / f"regions-{options.backbone}-{options.image_size}",
    )


def shuffle_pictures(sentences: Sequence[Sentence], rng: np.random.Generator) -> None:
    """Give every sentence the picture of another one, chosen at random, in place."""
    order = rng.permutation(len(sentences))
    pictures = [(sentence.get_metadata(IMAGE), sentence.get_metadata(IMAGE_ID)) for sentence in sentences]
    for receiver, giver in zip(order, np.roll(order, 1), strict=True):
        image, image_id = pictures[giver]
        sentences[receiver].add_metadata(IMAGE, image)
        sentences[receiver].add_metadata(IMAGE_ID, image_id)


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """Return the results as a Markdown table: mean and standard deviation over the seeds of each configuration."""
    results = list(results)
    columns = {
        "f1": "span-F1",
        "sentence": "middle of b_c in the box",
        "touching": "b_c touches the box",
        "entity": "entity's own b_c in the box",
        "window": "middle of its own window in the box",
        "step": "s a step",
        "predict": "ms a post",
        "parameters": "million parameters",
        "memory": "peak memory in MiB",
    }
    lines = [f"| pictures used | seeds | {' | '.join(columns.values())} |", f"|---|---|{'---|' * len(columns)}"]
    for name, configuration in CONFIGURATIONS.items():
        rows = [result for result in results if result["configuration"] == name]
        if rows:
            cells = [
                mean_and_deviation(
                    [row[column] for row in rows if column in row],
                    digits={"step": 2, "predict": 2, "parameters": 2, "memory": 0}.get(column, 1),
                )
                for column in columns
            ]
            lines.append(f"| {configuration.pictures} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    options.encoder = options.encoder or MINILM_L6
    options.checkpoint = options.checkpoint or EFFICIENTNET_LITE0
    options.corpus = options.cache / f"scenes-{options.train}-{options.test}-{options.typed_share:g}"
    if not (options.corpus / BOXES).exists():
        write_scenes(options.corpus, train=options.train, test=options.test, typed_share=options.typed_share)
    encode_images(list(read_corpus(options).get_all_sentences()), regions_of(options))
    settings = run_settings(options, apart=["corpus"])
    results = options.cache / RESULTS
    wanted = [{"configuration": name, "seed": seed} for seed in options.seeds for name in options.configurations]
    do_missing_runs(results, settings, wanted, run, options)
    print(table(finished_results(results, settings)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("cache", type=Path, help="folder for the corpus, the region store and the results")
    add(
        "--configurations",
        nargs="+",
        choices=CONFIGURATIONS,
        default=list(CONFIGURATIONS),
        metavar="NAME",
        help=", ".join(CONFIGURATIONS),
    )
    add("--train", type=int, default=1200, metavar="POSTS")
    add("--test", type=int, default=200, metavar="POSTS")
    add("--typed-share", type=float, default=0.0, metavar="SHARE", help="posts with a second, well-known name")
    add("--backbone", default="tf_efficientnet_lite0", help="timm model")
    add("--checkpoint", help="its weights; by default those of EfficientNet-Lite0 in the `offline` extra")
    add("--image-size", type=int, default=384, metavar="PIXELS")
    add_training_options(parser)
    return parser


if __name__ == "__main__":
    main()
