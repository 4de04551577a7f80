"""What benchmarks that train taggers share: their options, the training, and runs that are not done twice."""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from flair.data import Corpus, Sentence
from flair.trainers import ModelTrainer

from benchmarks.results import append_result, finished_results
from flair_espvr.io.parent_process import end_with_parent
from flair_espvr.models.tagger import MultimodalTagger

APART = ("cache", "seeds", "configurations")
"""Options that do not change what a run gives."""

FILES = ("encoder", "checkpoint", "posts")
"""Options that are settings where they are given, by the name of their file or folder alone."""


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of how ESPVR is built and how any tagger is trained."""
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--epochs", type=int, default=6)
    add("--encoder", help="a folder or a hub name; MiniLM-L6 of the `offline` extra by default")
    add("--window", type=int, default=6, metavar="REGIONS")
    add("--hidden-size", type=int, default=256)
    add("--layers", type=int, default=1, help="self-attention layers over the words")
    add("--dropout", type=float, default=0.2)
    add("--threads", type=int, default=torch.get_num_threads(), help="of the processor, a run")
    add("--batch-size", type=int, default=16)
    add("--learning-rate", type=float, default=5e-5, help="of the text encoder")
    add("--decoder-learning-rate", type=float, default=5e-4, help="of everything else")


def espvr_sizes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the hyperparameters of ESPVR that the options name."""
    return {
        "window": options.window,
        "hidden_size": options.hidden_size,
        "num_layers": options.layers,
        "dropout": options.dropout,
    }


def fine_tune(
    tagger: MultimodalTagger, corpus: Corpus[Sentence], options: argparse.Namespace, *, keep_embeddings: bool = False
) -> float:
    """Train a tagger on a corpus.

    Args:
        tagger: a new one.
        corpus: with posts to train on and to choose the epoch by.
        options: see `add_training_options`.
        keep_embeddings: whether word vectors are computed once, for an encoder that does not learn.

    Returns:
        The seconds that a training step took, with its share of the evaluations.
    """
    assert corpus.train is not None
    steps = options.epochs * -(-len(list(corpus.train)) // options.batch_size)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        ModelTrainer(tagger, corpus).fine_tune(
            folder,
            learning_rate=options.learning_rate,
            decoder_learning_rate=options.decoder_learning_rate,
            mini_batch_size=options.batch_size,
            max_epochs=options.epochs,
            save_final_model=False,
            create_file_logs=False,
            create_loss_file=False,
            embeddings_storage_mode="cpu" if keep_embeddings else "none",
            fused=True,  # AdamW in one kernel, as in runs of recipes
        )
    return (time.perf_counter() - start) / steps


def run_settings(options: argparse.Namespace, *, apart: Iterable[str] = ()) -> dict[str, Any]:
    """Return what decides what a run gives, beside its own names: two runs with the same settings are the same run.

    Args:
        options: of the command.
        apart: further options that do not.
    """
    settings = {name: value for name, value in vars(options).items() if name not in {*APART, *FILES, *apart}}
    return settings | {name: Path(vars(options)[name]).name for name in FILES if vars(options).get(name)}


def do_missing_runs(
    results: Path,
    settings: Mapping[str, Any],
    wanted: Iterable[Mapping[str, Any]],
    run: Callable[..., dict[str, Any]],
    options: argparse.Namespace,
) -> None:
    """Do each run that has no result yet, in a process that has done nothing else, and keep what it gives.

    Args:
        results: file of results, one JSON line each.
        settings: see `run_settings`.
        wanted: the names of each run, in the order in which they are done.
        run: called as `run(options, **names)`.
        options: of the command.
    """
    for names in wanted:
        if any(names.items() <= row.items() for row in finished_results(results, settings)):
            continue
        start = time.monotonic()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as process:
            row = {**names, **process.submit(run, options, **names).result()}
        row["seconds"] = round(time.monotonic() - start)
        append_result(results, row, settings)
