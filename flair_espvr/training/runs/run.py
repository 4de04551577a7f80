"""One run: a recipe and a seed become a trained model, its predictions and its scores, in a folder of its own."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import flair
import torch
from flair.data import Sentence
from flair.distributed_utils import is_main_process
from flair.nn import Classifier
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin

from flair_espvr.data import MultimodalCorpus
from flair_espvr.errors import ConfigurationError
from flair_espvr.evaluation.evaluate import evaluate
from flair_espvr.io.atomic import write_text
from flair_espvr.models.capabilities import Calibratable, WeighsTypes
from flair_espvr.training.build import build_corpus, build_regions, build_tagger
from flair_espvr.training.multi_gpu import draw_differently, on_all_gpus, share_of_batch
from flair_espvr.training.oddities import found, warn_about
from flair_espvr.training.recipes import sections
from flair_espvr.training.recipes.recipe import Recipe
from flair_espvr.training.runs.charts import confusion_matrix, training_curves
from flair_espvr.training.runs.environment import environment
from flair_espvr.training.runs.run_folder import RunFolder
from flair_espvr.training.trainer.early_stopping import EarlyStopping
from flair_espvr.training.trainer.finite import FinitePlugin
from flair_espvr.training.trainer.loss_terms import LossTerms
from flair_espvr.training.trainer.progress import ProgressBar
from flair_espvr.training.trainer.resume import ResumableTrainer
from flair_espvr.training.trainer.resume_plugin import BEST_MODEL, STATE_FILE

log = logging.getLogger("flair.espvr.training")


def run(recipe: Recipe, *, seed: int, folder: RunFolder, description: str = "Training") -> None:
    """Trains a recipe's model once, tests it, and keeps everything about it; a run that is done is left alone.

    Args:
        recipe: what to train, on what, and how.
        seed: of all random numbers.
        folder: where everything goes.
        description: what stands before the progress bar.

    Raises:
        ConfigurationError: the recipe asks for something that is not there.
        RunIsLockedError: another process is making this run.
    """
    with folder.lock():
        if folder.is_done():
            return
        if recipe.training.multi_gpu:
            on_all_gpus(_make, recipe, seed, folder, description)
        else:
            _make(recipe, seed, folder, description)


def _make(recipe: Recipe, seed: int, folder: RunFolder, description: str) -> None:
    """Make a run; on several GPUs every process trains, and one of them writes."""
    writes = is_main_process()
    with _logged(folder.log) if writes else nullcontext():
        corpus = build_corpus(recipe.corpus)
        if writes:
            notes = {"seed": seed, **environment(corpus)}
            write_text(folder.recipe, recipe.to_yaml())
            write_text(folder.given, json.dumps(recipe.given(), indent=1, ensure_ascii=False))
            write_text(folder.environment, json.dumps(notes, indent=1, ensure_ascii=False))
        flair.set_seed(seed)
        regions = None if recipe.regions is None else build_regions(_with_store(recipe.regions, folder))
        tagger = build_tagger(recipe, corpus, regions)
        if writes:
            warn_about(recipe, corpus)
        draw_differently()
        identity = {"recipe": recipe.digest(), "seed": seed}
        plugins = [ProgressBar(description, opening=found(corpus, tagger.label_type))] if writes else []
        fit(tagger, corpus, recipe.training, folder.path, plugins=plugins, notes=identity)
        if not writes:
            return
        tagger.save(folder.model)
        training_curves(folder.losses, folder.curves)
        _test(tagger, corpus, recipe, folder, seed=seed)
        for leftover in (BEST_MODEL, STATE_FILE):  # only now: a kill before this line is to cost no epoch
            (folder.path / leftover).unlink(missing_ok=True)


def _with_store(section: sections.Regions, folder: RunFolder) -> sections.Regions:
    """Where a recipe names no store, all runs of one kind of features share one: they are dear."""
    if section.store is not None:
        return section
    name = section.model if section.image_size is None else f"{section.model}-{section.image_size}"
    name += f"-{section.stages}-stages" if section.stages > 1 else ""
    return section.model_copy(update={"store": folder.runs / "regions" / name.replace("/", "_")})


def fit(
    tagger: Classifier[Sentence],
    corpus: MultimodalCorpus,
    section: sections.TrainingSection,
    folder: Path,
    *,
    plugins: Sequence[TrainerPlugin] = (),
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Trains with Flair's `ModelTrainer`, as the recipe's section says; with `resume`, from the last epoch on.

    The scores of a tagger that can be are calibrated with the development posts, where those have entities.

    Args:
        tagger: what to train.
        corpus: on what.
        section: how.
        folder: where Flair puts its files.
        plugins: of Flair's trainer, fresh ones for each run.
        notes: plain values that must be the same where a run goes on, such as its seed.

    Raises:
        TrainingError: a loss or gradient is no number; the message names the posts.
        ConfigurationError: the folder holds the state of another run, the GPUs cannot share a batch, or weights are of
            types that are not there, or for a model that cannot weigh them.
    """
    trainer = ResumableTrainer(tagger, corpus, notes=notes) if section.resume else ModelTrainer(tagger, corpus)
    is_fine_tuning = isinstance(section, sections.FineTune)
    method = trainer.fine_tune if is_fine_tuning else trainer.train
    # What Flair does not know it hands to the optimizer: AdamW takes an eighth of a batch's time, less when fused.
    optimizer = {"fused": True} if is_fine_tuning else {}
    # Of what all trainings share, Flair knows `multi_gpu` alone.
    arguments = section.model_dump(exclude={"type", *sections.Training.model_fields} - {"multi_gpu"})
    arguments["mini_batch_size"] = share_of_batch(section.mini_batch_size)
    stopping = [] if section.early_stopping is None else [EarlyStopping(section.early_stopping)]
    if section.type_weights is not None:
        _weigh_types(tagger, section.type_weights)
    with matmul_precision(section.matmul_precision):
        method(
            folder,
            plugins=[FinitePlugin(), LossTerms(), *stopping, *plugins],
            save_final_model=False,
            create_file_logs=False,
            embeddings_storage_mode="none",
            **optimizer,
            **arguments,
        )
    development = list(corpus.dev or ())
    has_entities = any(post.get_labels(tagger.label_type) for post in development)
    if isinstance(tagger, Calibratable) and has_entities:
        log.info("Temperature of the scores: %.2f", tagger.calibrate(development))


def _weigh_types(tagger: Classifier[Sentence], weights: Mapping[str, float]) -> None:
    if not isinstance(tagger, WeighsTypes):
        raise ConfigurationError(f"training.type_weights: {type(tagger).__name__} cannot weigh types; leave it out")
    known = tagger.label_dictionary.get_items()
    if unknown := sorted(set(weights) - set(known)):
        raise ConfigurationError(f"training.type_weights: no training post has {', '.join(unknown)}, only {known}")
    tagger.type_weights = weights


def _test(
    tagger: Classifier[Sentence], corpus: MultimodalCorpus, recipe: Recipe, folder: RunFolder, *, seed: int
) -> None:
    label_type = recipe.corpus.label_type
    dev, test = (
        evaluate(tagger, split, gold_label_type=label_type, edition=corpus.edition)
        for split in (corpus.dev, corpus.test)
    )
    types = sorted(test.lenient.types)
    confusion_matrix(test.gold, test.predicted, types, folder.confusion)
    folder.write_evaluation(test, seed=seed, dev_f1=dev.lenient.micro.f1)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Torch's precision of float32 matrix products, for the block."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Flair's log lines, and ours below them, in a file, added to those of an earlier, interrupted run."""
    flair_log = logging.getLogger("flair")
    handler = logging.FileHandler(path, mode="a", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    flair_log.addHandler(handler)
    try:
        yield
    finally:
        flair_log.removeHandler(handler)
        handler.close()
