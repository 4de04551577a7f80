"""Do pictures matter, to which system, and does positioning point at what a name stands for?

    python -m benchmarks.grounding CACHE [--posts FOLDER]

Draws the corpus of `synthetic.scenes` into the folder CACHE, encodes its pictures once, trains a tagger for every
configuration and seed, each in a process of its own, and prints Markdown tables. Finished runs are kept in
`CACHE/results.jsonl`, one JSON line each: a run that was killed is done again, one that ended is not. Chance is a
span-F1 of about 25. Systems that read objects are given those that were drawn, a third of them mislabelled or missing.

A second table says what is left where test pictures are missing or shuffled, beside what the same system gives that
learned without any. Configurations such as `umt_half`, `umt_gone` and `umt_shuffled` are trained on pictures half of
which are missing, on none, and on those of other posts: `umt_gone`, or `none` for ESPVR, is needed for that comparison.

With `--posts` the posts are the photographs of a folder, see `benchmarks.named_posts`. Nothing is measured there of
where a system looks: a sentence has several phrases, and one b_c for all of them.
"""

import argparse
import resource
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import flair
import numpy as np
import torch
from flair.data import Corpus, Sentence

from benchmarks.damage import damage_pictures, f1_under_damage, shuffle_pictures
from benchmarks.named_posts import phrase_words, read_named_posts
from benchmarks.noisy_objects import TYPE_WORDS, add_noisy_objects
from benchmarks.picture_tables import PARTS, damage_table, table
from benchmarks.pointing import pointing
from benchmarks.results import finished_results
from benchmarks.systems import CONFIGURATIONS, SYSTEMS, TRAININGS, hyperparameters
from benchmarks.told import MADE_UP, f1_of_parts
from benchmarks.training import add_training_options, do_missing_runs, fine_tune, run_settings
from flair_espvr import CaptionedTransformerEmbeddings, ImageRegionEmbeddings, MultimodalCorpus
from flair_espvr.io.packaged import EFFICIENTNET_LITE0, MINILM_L6
from flair_espvr.models.registry import model_class
from flair_espvr.training.build import encode_images
from synthetic.scenes import BOXES, IMAGES, read_boxes, write_scenes

RESULTS = "results.jsonl"


def run(options: argparse.Namespace, *, configuration: str, seed: int) -> dict[str, Any]:
    """Train and test once, in a process that has done nothing else.

    Returns:
        `f1`, also of the parts of `f1_of_parts`, and, where regions of drawn posts are positioned, the shares of
        `pointing`, all in percent; `step`, seconds of a training step with its share of evaluations, `predict`,
        milliseconds a post, `parameters`, millions without encoder, and `memory`, the most that the process had of the
        machine's, in MiB; `damaged`, what `f1_under_damage` gives.
    """
    chosen = CONFIGURATIONS[configuration]
    torch.set_num_threads(options.threads)
    flair.set_seed(seed)
    corpus = read_corpus(options)
    if chosen.shuffled:
        for split in (corpus.train, corpus.dev, corpus.test):
            shuffle_pictures(list(split), np.random.default_rng(seed))
    for split in (corpus.train, corpus.dev):
        damage_pictures(list(split), chosen.training, seed=seed)
    tagger = model_class(chosen.system)(
        CaptionedTransformerEmbeddings(options.encoder, fine_tune=True),
        corpus.make_label_dictionary("ner", add_unk=False),
        "ner",
        region_embeddings=regions_of(options),
        **hyperparameters(chosen, options, object_words(corpus, options)),
    )
    step = fine_tune(tagger, corpus, options)
    score = tagger.evaluate(corpus.test, gold_label_type="ner", mini_batch_size=options.batch_size).main_score
    posts = list(corpus.test)
    predict = partial(tagger.predict, mini_batch_size=options.batch_size)
    start = time.perf_counter()
    predict(posts, label_name="timed")
    seconds = time.perf_counter() - start
    result = {
        **f1_of_parts(posts, gold="ner", predicted="timed"),
        "f1": 100 * score,
        "step": step,
        "predict": 1000 * seconds / len(posts),
        "parameters": sum(parameter.numel() for parameter in tagger.network.parameters()) / 1e6,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "damaged": f1_under_damage(predict, posts, gold="ner", seed=seed),
    }
    points = chosen.system == "espvr" and options.posts is None
    return result | (pointing(tagger, posts, read_boxes(options.corpus)) if points else {})


def read_corpus(options: argparse.Namespace) -> Corpus[Sentence]:
    """Return the posts, each with what a detector of mediocre eyesight found in its picture."""
    if options.posts is not None:
        return read_named_posts(options.posts)
    corpus = MultimodalCorpus(options.corpus, images=options.corpus / IMAGES)
    posts = list(corpus.get_all_sentences())
    add_noisy_objects(posts, read_boxes(options.corpus))
    for post in posts:
        post.add_metadata(MADE_UP, len(post.get_spans("ner")[:1]))
    return corpus


def object_words(corpus: Corpus[Sentence], options: argparse.Namespace) -> list[str]:
    """Return what the objects in the pictures of a corpus are called."""
    words = TYPE_WORDS if options.posts is None else phrase_words(list(corpus.get_all_sentences()))
    return list(words.values())


def regions_of(options: argparse.Namespace) -> ImageRegionEmbeddings:
    """Return the regions of the pictures, each computed once for all runs."""
    return ImageRegionEmbeddings(
        options.backbone,
        checkpoint=options.checkpoint,
        image_size=options.image_size,
        store=options.cache / f"regions-{options.backbone}-{options.image_size}",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    options.encoder = options.encoder or MINILM_L6
    options.checkpoint = options.checkpoint or EFFICIENTNET_LITE0
    options.corpus = options.cache / f"scenes-{options.train}-{options.test}-{options.typed_share:g}"
    if options.posts is None and not (options.corpus / BOXES).exists():
        write_scenes(options.corpus, train=options.train, test=options.test, typed_share=options.typed_share)
    encode_images(list(read_corpus(options).get_all_sentences()), regions_of(options))
    settings = run_settings(options, apart=["corpus"])
    results = options.cache / RESULTS
    wanted = [{"configuration": name, "seed": seed} for seed in options.seeds for name in options.configurations]
    do_missing_runs(results, settings, wanted, run, options)
    finished = finished_results(results, settings)
    print(table(finished))
    for part in PARTS:
        if any(part in row and "damaged" in row for row in finished):
            print(f"\n{damage_table(finished, part)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("cache", type=Path, help="folder for the corpus, the region store and the results")
    add(
        "--configurations",
        nargs="+",
        choices=CONFIGURATIONS,
        default=list(SYSTEMS),
        metavar="NAME",
        help=f"{', '.join(SYSTEMS)}; one that looks with {', '.join(f'_{how}' for how in TRAININGS)} is trained so",
    )
    add("--posts", type=Path, metavar="FOLDER", help="of JSONL with pictures and regions, in place of drawn posts")
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
