"""Pictures of a run: how it learnt, and which types it takes for which.

Flair's own `Plotter` draws training curves too, but counts epochs from 0, always writes `training.png` beside the file
it reads, not atomically, and works through pyplot's global state, which opens a window where there is a screen.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flair_espvr.data.bio import EntitySpan
from flair_espvr.errors import ConfigurationError
from flair_espvr.evaluation.confusions import count_confusions
from flair_espvr.io.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EPOCH = "EPOCH"
_PANELS = {
    "loss": {"TRAIN_LOSS": "training", "DEV_LOSS": "dev"},
    "dev score": {"DEV_PRECISION": "precision", "DEV_RECALL": "recall", "DEV_F1": "F1"},
}
"""What a picture shows, panel by panel: columns of Flair's file, and their names in the legend."""

_DOTS_PER_INCH = 150
_LONG_NAME = 8


def training_curves(loss_tsv: Path, out: Path) -> None:
    """Draws losses and dev scores over the epochs; without dev posts, the training loss alone.

    Args:
        loss_tsv: what Flair's trainer wrote, with a line for each epoch.
        out: the PNG file to write; its folder must exist.

    Raises:
        ConfigurationError: the file is damaged, or holds no epoch yet.
        OSError: a file cannot be read or written.
    """
    curves = _read_curves(loss_tsv)
    panels = {title: columns for title, columns in _PANELS.items() if not columns.keys().isdisjoint(curves)}
    figure = _figure(width=5 * len(panels), height=3.5)
    for axes, (title, columns) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for column, label in columns.items():
            if column in curves:
                axes.plot(curves[_EPOCH], curves[column], marker=".", label=label)
        axes.set(xlabel="epoch", ylabel=title)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, out)


def confusion_matrix(
    gold: Sequence[Iterable[EntitySpan]], predicted: Sequence[Iterable[EntitySpan]], types: Sequence[str], out: Path
) -> None:
    """Draws `count_confusions`: counts as text, their shares of each row as colour.

    Args:
        gold: for each post its entities.
        predicted: the same posts' predicted entities.
        types: the types, in the order of rows and columns.
        out: the PNG file to write; its folder must exist.

    Raises:
        ConfigurationError: an entity's type is not among `types`.
        OSError: the file cannot be written.
    """
    counts = count_confusions(gold, predicted, types)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [*types, "none"]
    figure = _figure(width=2.5 + 0.8 * len(names), height=2 + 0.7 * len(names))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    # A type's name is anybody's text: a dollar sign in it must not open a formula.
    rotation = 90 if max(map(len, names)) > _LONG_NAME else 0
    axes.set_xticks(range(len(names)), names, rotation=rotation, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set(xlabel="predicted", ylabel="gold")
    figure.colorbar(image, label="share of the row")
    figure.supxlabel(
        "Entities of the same words.\nColumn none: gold, but not predicted. Row none: predicted, but not gold.\n"
        "Predicted with a word too many or too few: in both.",
        fontsize="small",
    )
    _save(figure, out)


def _read_curves(path: Path) -> dict[str, list[float]]:
    """Return the epochs and what `_PANELS` shows, without the columns that Flair could not fill."""
    shown = {column for columns in _PANELS.values() for column in columns}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            epochs = list(csv.DictReader(file, delimiter="\t", strict=True))
        curves = {name: [float(epoch[name]) for epoch in epochs] for name in epochs[0] if name in {_EPOCH, *shown}}
    except (ValueError, TypeError, IndexError, csv.Error):
        curves = {}
    if _EPOCH not in curves or shown.isdisjoint(curves):
        raise ConfigurationError(
            f"{path}: expected the table of losses that Flair's trainer writes, with at least one epoch"
        )
    return curves


def _figure(*, width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")


def _save(figure: "Figure", out: Path) -> None:
    with atomic_write(out) as file:
        figure.savefig(file, format="png")
