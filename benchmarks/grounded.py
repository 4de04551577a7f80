"""Is an entity's region on what it names, of its size, and absent where the picture does not show it?

    python -m benchmarks.grounded CACHE [--corpora scenes large FOLDER] [--backbones efficientnet dinov2]

For each corpus, backbone, grid, configuration and seed a tagger is trained in a process of its own, tested, calibrated
on the development posts and tested again. `scenes` are drawn posts of which two entities in five are not in the
picture, `large` are objects that fill a fifth of it; a FOLDER has `train.jsonl`, `valid.jsonl` and `test.jsonl` with
`"regions"`. Where the posts of a corpus show all they name, they are also given pictures of other posts, which are
stated to show none of it: to learn from, where there are boxes, and to measure presence.

Printed are tables of scores beside answers that look at no picture, whose entities are the gold ones: of every finished
run on those corpora, whichever command it was of; where that trained otherwise than this one, its row says how. Another
table says how true the probabilities of this command's runs are. Finished runs are kept in `CACHE/grounded.jsonl` and
not done again.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import flair
import numpy as np
import torch
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset

from benchmarks.blind_places import best_constant_box, blind_scores, ceiling_scores
from benchmarks.calibration import expected_calibration_error
from benchmarks.grounded_posts import DRAWN, LABEL, read_corpus, with_other_pictures, without_regions
from benchmarks.head_alone import HeadAlone
from benchmarks.results import all_results, mean_and_deviation
from benchmarks.training import add_training_options, do_missing_runs, espvr_sizes, fine_tune, run_settings
from flair_espvr import CaptionedTransformerEmbeddings, ImageRegionEmbeddings
from flair_espvr.data.region import Region
from flair_espvr.evaluation.grounding import (
    GoldEntity,
    GroundedEntity,
    GroundingScores,
    PlaceScores,
    gold_entities,
    is_right,
    predicted_entities,
    score_grounding,
)
from flair_espvr.io.packaged import EFFICIENTNET_LITE0, MINILM_L6
from flair_espvr.models.registry import model_class
from flair_espvr.nn.grounding.head import GroundingHead
from flair_espvr.training.build import encode_images

RESULTS = "grounded.jsonl"
PREDICTED = "predicted"

Pairs = list[tuple[GoldEntity, GroundedEntity]]


@dataclass(frozen=True)
class Configuration:
    """One row of a table.

    Attributes:
        title: what the row is called.
        boxes: whether the training posts keep their gold regions.
        model: the model's own hyperparameters.
        head_alone: whether there is no model, but the grounding head and gold entities, see `HeadAlone`.
    """

    title: str
    boxes: bool = False
    head_alone: bool = False
    model: Mapping[str, Any] = field(default_factory=dict)


CONFIGURATIONS: Mapping[str, Configuration] = MappingProxyType(
    {
        "head": Configuration("the head alone", boxes=True, head_alone=True),
        "boxes": Configuration("with boxes", boxes=True),
        "boxes_each": Configuration("with boxes, a window for each entity", boxes=True, model={"window_of": "entity"}),
        "boxes_untaught": Configuration(
            "with boxes, of which positioning learns nothing", boxes=True, model={"position_loss_weight": 0.0}
        ),
        "boxes_all": Configuration("with boxes, all regions", boxes=True, model={"regions": "all"}),
        "none": Configuration("without boxes"),
        "each": Configuration("without boxes, a window for each entity", model={"window_of": "entity"}),
        "contrast": Configuration("without boxes, contrast of pictures", model={"contrast_weight": 1.0}),
        "contrast_all": Configuration(
            "without boxes, contrast of pictures, all regions", model={"contrast_weight": 1.0, "regions": "all"}
        ),
        "paper": Configuration("without boxes, the paper's window", model={"window_placement": "paper"}),
        "all": Configuration("without boxes, all regions", model={"regions": "all"}),
    }
)


@dataclass(frozen=True)
class Backbone:
    """A timm model that gives a grid of regions, `stride` pixels each, from its last stages.

    Attributes:
        title: what it is called in tables.
        weights: the option that says where its weights are.
    """

    title: str
    model: str
    stride: int
    weights: str
    stages: int = 1


BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {
        "efficientnet": Backbone("EfficientNet", "tf_efficientnet_lite0", 32, "efficientnet"),
        "efficientnet-stages": Backbone(
            "EfficientNet (two stages)", "tf_efficientnet_lite0", 16, "efficientnet", stages=2
        ),
        "dinov2": Backbone("DINOv2", "vit_small_patch14_dinov2", 14, "dinov2"),
    }
)

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "f1": "type F1",
        "eeg": "EEG",
        "gmner": "GMNER",
        "none": "GMNER if none were shown",
        "pointing": "pointing",
        "half": "IoU > .5",
        "iou": "mean IoU",
        "precision": "presence AP",
        "pointing_placed": "pointing, all placed",
        "half_placed": "IoU > .5, all placed",
    }
)
"""All in percent. The fourth is of the same entities with every region left out, the last two with none left out: what
the image is thought not to show is a miss of the place in all other columns."""

GRIDS = (12, 24)

OF_THE_HEAD = {"head_epochs", "batch_size", "encoder"}
"""Settings of a training of the head alone; the first is of no other."""

EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)


def run(
    options: argparse.Namespace, *, corpus: str, backbone: str, grid: int, configuration: str, seed: int
) -> dict[str, Any]:
    """Train and test once, in a process that has done nothing else.

    Returns:
        See `before_and_after`; also `step`, seconds a training step.
    """
    chosen = CONFIGURATIONS[configuration]
    torch.set_num_threads(options.threads)
    flair.set_seed(seed)
    posts = grounded_corpus(corpus, options)
    train = [*posts.train, *posts.other_train] if chosen.boxes else without_regions(posts.train)
    regions = regions_of(options, backbone, grid)
    if chosen.head_alone:
        types = sorted({span.tag for sentence in train for span in sentence.get_spans(LABEL)})
        head = HeadAlone(CaptionedTransformerEmbeddings(options.encoder, fine_tune=False), regions, types)
        head.fit(train, epochs=options.head_epochs, batch_size=options.batch_size)
        return before_and_after(posts, head.head, head.calibrate, partial(head.predict, label_name=PREDICTED))
    data: Corpus[Sentence] = Corpus(
        FlairDatapointDataset(train),
        FlairDatapointDataset(posts.dev),
        FlairDatapointDataset(posts.test),
        name=Path(corpus).name,
        sample_missing_splits=False,
    )
    tagger = model_class("espvr")(
        CaptionedTransformerEmbeddings(options.encoder, fine_tune=not options.frozen),
        data.make_label_dictionary(LABEL, add_unk=False),
        LABEL,
        region_embeddings=regions,
        **{**espvr_sizes(options), "window": max(1, options.window * grid // 12), **chosen.model},
    )
    step = fine_tune(tagger, data, options, keep_embeddings=options.frozen)
    predict = partial(tagger.predict, label_name=PREDICTED, mini_batch_size=options.batch_size)
    assert tagger.grounding is not None
    return {"step": step, **before_and_after(posts, tagger.grounding, tagger.calibrate, predict)}


@dataclass(frozen=True)
class GroundedPosts:
    """The splits of a corpus, and the same posts with other posts' pictures, where it has no absences of its own."""

    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]
    other_train: list[Sentence]
    other_dev: list[Sentence]
    other_test: list[Sentence]


def before_and_after(
    posts: GroundedPosts,
    head: GroundingHead,
    calibrate: Callable[[list[Sentence]], Any],
    predict: Callable[[list[Sentence]], Any],
) -> dict[str, Any]:
    """Return what `measure` gives of the test posts, `raw` and `calibrated` on the development posts.

    The second also has the columns of places where no entity is left without one.
    """
    tested = [*posts.test, *posts.other_test]
    predict(tested)
    raw = measure(posts.test, posts.other_test)
    calibrate([*posts.dev, *posts.other_dev])
    predict(tested)
    calibrated = measure(posts.test, posts.other_test)
    head.calibration = replace(head.calibration, threshold=0.0)
    predict(posts.test)
    placed = measure(posts.test, [])
    return {"raw": raw, "calibrated": calibrated | {f"{name}_placed": placed[name] for name in ("pointing", "half")}}


def grounded_corpus(name: str, options: argparse.Namespace) -> GroundedPosts:
    """Return the posts of a corpus; the same ones each time."""
    corpus = read_corpus(name, options.cache)
    splits = [list(split) for split in (corpus.train, corpus.dev, corpus.test)]
    shown = all(entity.regions for post in gold_of(splits[2]) for entity in post)
    rng = np.random.default_rng(1)
    return GroundedPosts(*splits, *(with_other_pictures(split, rng) if shown else [] for split in splits))


def regions_of(options: argparse.Namespace, backbone: str, grid: int) -> ImageRegionEmbeddings:
    """Return the regions of the pictures, each computed once for all runs."""
    kind = BACKBONES[backbone]
    return ImageRegionEmbeddings(
        kind.model,
        checkpoint=vars(options)[kind.weights],
        image_size=kind.stride * grid,
        stages=kind.stages,
        store=options.cache / f"regions-{backbone}-{grid}",
    )


def gold_of(sentences: Iterable[Sentence]) -> list[list[GoldEntity]]:
    """Return the gold entities of posts of which all regions are known."""
    return [gold_entities(sentence, LABEL) or [] for sentence in sentences]


def measure(test: Sequence[Sentence], others: Sequence[Sentence]) -> dict[str, Any]:
    """Return the scores of predicted entities, in percent, by the names of `COLUMNS`.

    Also `types`, for each type the gold entities that are shown, pointing and IoU > .5, and what calibration is
    measured with: `grounded` and `places`, lists of a probability and whether it came true, None of an entity that was
    given none.

    Args:
        test: posts with gold entities and predicted ones.
        others: further posts that count for presence alone.
    """
    gold, answers = gold_of(test), [predicted_entities(post, PREDICTED) for post in test]
    scores = score_grounding(gold, answers)
    blind = score_grounding(gold, [[answer._replace(region=None) for answer in post] for post in answers])
    everything = [*test, *others]
    all_gold, all_answers = gold_of(everything), [predicted_entities(post, PREDICTED) for post in everything]
    found = matched(all_gold, all_answers)
    return {
        **columns(scores),
        "none": 100 * blind.gmner.f1,
        "precision": columns(score_grounding(all_gold, all_answers))["precision"],
        "types": {
            name: [places.entities, 100 * places.pointing, 100 * places.above_half]
            for name in scores.types
            for places in [places_of_type(gold, answers, name)]
        },
        "grounded": [
            None if answer.grounded is None else (round(answer.grounded, 4), bool(entity.regions))
            for entity, answer in found
        ],
        "places": [
            None if answer.region is None else (round(answer.region.score, 4), is_right(entity.regions, answer.region))
            for entity, answer in found
        ],
    }


def columns(scores: GroundingScores) -> dict[str, float | None]:
    """Scores in percent by the names of `COLUMNS`."""
    precision = scores.presence.average_precision
    return {
        "f1": 100 * scores.mner.f1,
        "eeg": 100 * scores.eeg.f1,
        "gmner": 100 * scores.gmner.f1,
        "pointing": 100 * scores.places.pointing,
        "half": 100 * scores.places.above_half,
        "iou": 100 * scores.places.mean_iou,
        "precision": None if precision is None else 100 * precision,
    }


def matched(gold: Iterable[Iterable[GoldEntity]], answers: Iterable[Iterable[GroundedEntity]]) -> Pairs:
    """Return the gold entities that were found, each with its answer."""
    pairs: Pairs = []
    for entities, found in zip(gold, answers, strict=True):
        by_words = {(answer.start, answer.end): answer for answer in found}
        pairs += [
            (entity, by_words[entity.start, entity.end])
            for entity in entities
            if (entity.start, entity.end) in by_words
        ]
    return pairs


def places_of_type(
    gold: Sequence[Sequence[GoldEntity]], answers: Sequence[Sequence[GroundedEntity]], name: str
) -> PlaceScores:
    """How right the places are of the gold entities of one type."""
    of_type = [[entity for entity in post if entity.type == name] for post in gold]
    return score_grounding(of_type, answers).places


def table(rows: Mapping[str, Sequence[Mapping[str, Any]]], blind: Mapping[str, GroundingScores]) -> str:
    """Return the scores of one corpus as a Markdown table: mean and standard deviation over the seeds of each row.

    Args:
        rows: finished runs on it, see `titled`.
        blind: the scores of answers that look at no picture.
    """
    lines = [f"| regions | seeds | {' | '.join(COLUMNS.values())} |", f"|---|---|{'---|' * len(COLUMNS)}"]
    for name, scores in blind.items():
        cells = [_cell([columns(scores)], column) for column in COLUMNS]
        lines.append(f"| {name} | - | {' | '.join(cells)} |")
    for title, runs in rows.items():
        cells = [_cell([run["calibrated"] for run in runs], column) for column in COLUMNS]
        lines.append(f"| {title} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(measured: Iterable[Mapping[str, Any]], column: str) -> str:
    return mean_and_deviation([shares[column] for shares in measured if shares.get(column) is not None])


def type_table(
    rows: Mapping[str, Sequence[Mapping[str, Any]]], test: Sequence[Sequence[GoldEntity]], constant: Region
) -> str:
    """Pointing and IoU > .5 of each type, as a Markdown table, beside those of the best constant box."""
    names = sorted({entity.type for post in test for entity in post if entity.regions})
    lines = [f"| pointing, IoU > .5 | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    answers = [[GroundedEntity(*entity[:3], constant) for entity in post] for post in test]
    places = [places_of_type(test, answers, name) for name in names]
    shown = " | ".join(str(place.entities) for place in places)
    blind = " | ".join(f"{100 * place.pointing:.1f}, {100 * place.above_half:.1f}" for place in places)
    lines += [f"| entities that are shown | {shown} |", f"| best constant box | {blind} |"]
    for title, runs in rows.items():
        types = [run["calibrated"]["types"] for run in runs]
        cells = [
            ", ".join(mean_and_deviation([of[name][part] for of in types if name in of]) for part in (1, 2))
            for name in names
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def truth_table(results: Iterable[Mapping[str, Any]]) -> str:
    """How true the probabilities are before and after calibration, and, after it, of how many what share came true.

    They are of entities of which both say something, where there are any: calibration moves the threshold.
    """
    lines = ["| probability | runs | said | mean | true | calibration error | Brier |", f"|{'---|' * 7}"]
    rows = list(results)
    after: dict[str, np.ndarray] = {}
    for kind, title in {"grounded": "`grounded`", "places": "`Region.score`"}.items():
        said = {when: [pair for row in rows for pair in row[when][kind]] for when in ("raw", "calibrated")}
        both = [None not in pairs for pairs in zip(*said.values(), strict=True)]
        for when, pairs in said.items():
            kept = [pair for pair, counts in zip(pairs, both, strict=True) if counts or (pair and not any(both))]
            found = np.array(kept, dtype=float).reshape(-1, 2)
            if not len(found):
                continue
            mean, true = found.mean(axis=0)
            error, brier = expected_calibration_error(found), ((found[:, 0] - found[:, 1]) ** 2).mean()
            figures = f"{mean:.3f} | {true:.3f} | {error:.3f} | {brier:.3f}"
            lines.append(f"| {title}, {when} | {len(rows)} | {len(found)} | {figures} |")
            after[title] = found
    for title, found in after.items():
        lines += ["", f"| {title}, calibrated | said | mean | true |", "|---|---|---|---|"]
        for low, high in pairwise(EDGES):
            part = found[(found[:, 0] > low) & (found[:, 0] <= high)]
            if len(part):
                mean, true = part.mean(axis=0)
                lines.append(f"| {low:g} to {high:g} | {len(part)} | {mean:.3f} | {true:.3f} |")
    return "\n".join(lines)


def titled(results: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the runs of each row of a table by its title, in the order of backbones, grids and configurations.

    Args:
        results: finished runs.
        settings: those that titles pass over; a row of other ones names them.
    """
    rows: dict[tuple[Any, ...], dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in results:
        rows[row["backbone"], row["grid"], row["configuration"]][_otherwise(row, settings)].append(row)
    return {
        f"**{BACKBONES[backbone].title} {grid} x {grid}, {CONFIGURATIONS[name].title}**{otherwise}": runs
        for backbone, grid, name in product(BACKBONES, GRIDS, CONFIGURATIONS)
        for otherwise, runs in sorted(rows[backbone, grid, name].items())
    }


def _otherwise(row: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Of the settings that count for a run those that are not `settings`."""
    given = row["settings"]
    alone = CONFIGURATIONS[row["configuration"]].head_alone
    counts = OF_THE_HEAD if alone else given.keys() - {"head_epochs"}
    return "".join(f", {name}={given[name]}" for name in sorted(counts) if given.get(name) != settings.get(name))


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    options.encoder = options.encoder or MINILM_L6
    options.efficientnet = options.efficientnet or EFFICIENTNET_LITE0
    options.cache.mkdir(parents=True, exist_ok=True)
    settings = run_settings(options, apart=["corpora", "backbones", "grids", "efficientnet", "dinov2", "threads"])
    results = options.cache / RESULTS
    names = ("seed", "corpus", "backbone", "grid", "configuration")
    wanted = [
        dict(zip(names, values, strict=True))
        for values in product(options.seeds, options.corpora, options.backbones, options.grids, options.configurations)
    ]
    for corpus, backbone, grid in product(options.corpora, options.backbones, options.grids):
        sentences = list(read_corpus(corpus, options.cache).get_all_sentences())
        encode_images(sentences, regions_of(options, backbone, grid))
    do_missing_runs(results, settings, wanted, run, options)
    for corpus in options.corpora:
        posts = grounded_corpus(corpus, options)
        train, test = gold_of(posts.train), gold_of(posts.test)
        found = [row for row in all_results(results) if row["corpus"] == corpus]
        rows = titled(found, settings)
        print(f"\n### {Path(corpus).name}\n\n{table(rows, blind_scores(train, test) | ceiling_scores(test, GRIDS))}")
        constant = best_constant_box(entity for post in train for entity in post)
        asked = [
            row for row in found if row["settings"] == settings and any(one.items() <= row.items() for one in wanted)
        ]
        print(f"\n{type_table(rows, test, constant)}\n\n{truth_table(asked)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("cache", type=Path, help="folder for the drawn corpora, the region stores and the results")
    add("--corpora", nargs="+", default=list(DRAWN), metavar="CORPUS", help="scenes, large, or a folder of JSONL")
    add(
        "--backbones", nargs="+", choices=BACKBONES, default=["efficientnet"], metavar="NAME", help=", ".join(BACKBONES)
    )
    add("--grids", nargs="+", type=int, choices=GRIDS, default=[12], metavar="SIDE", help="12, 24")
    add(
        "--configurations",
        nargs="+",
        choices=CONFIGURATIONS,
        default=["boxes", "none"],
        metavar="NAME",
        help=", ".join(CONFIGURATIONS),
    )
    add("--efficientnet", metavar="FILE", help="EfficientNet-Lite0's weights; those of the `offline` extra by default")
    add("--dinov2", metavar="FILE", help="DINOv2-small's weights; the hub's by default")
    add("--frozen", action="store_true", help="leave the text encoder as it is, which takes a third of the time")
    add("--head-epochs", type=int, default=20, help="of the head alone")
    add_training_options(parser)
    return parser


if __name__ == "__main__":
    main()
