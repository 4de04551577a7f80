import sys

import numpy as np
import pytest
from flair.trainers.plugins import LossFilePlugin
from flair.trainers.plugins.metric_records import MetricRecord
from PIL import Image

from flair_espvr.data.bio import EntitySpan
from flair_espvr.errors import ConfigurationError
from flair_espvr.training.runs import charts
from flair_espvr.training.runs.charts import confusion_matrix, training_curves

GOLD = [[EntitySpan(0, 1, "PER"), EntitySpan(2, 3, "LOC")], [EntitySpan(0, 1, "PER")], [EntitySpan(4, 5, "PER")]]
PREDICTED = [[EntitySpan(0, 1, "PER"), EntitySpan(2, 3, "PER")], [], [EntitySpan(4, 5, "PER")]]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, as matplotlib holds them."""
    saved = []
    save = charts._save
    monkeypatch.setattr(charts, "_save", lambda figure, out: (saved.append(figure), save(figure, out)))
    return saved


def write_losses(folder, *, epochs, dev=True):
    """Has Flair's own plugin write `loss.tsv`."""
    plugin = LossFilePlugin(folder, epoch=0)
    for epoch in range(1, epochs + 1):
        plugin.before_training_epoch(epoch=epoch)
        metrics = {("train", "loss"): 1 / epoch, "learning_rate": [0.1, 0.2], "bad_epochs": 0}
        if dev:
            metrics |= {("dev", "loss"): 2 / epoch, ("dev", "accuracy"): 0.5}
            metrics |= {("dev", "micro avg", name): 0.1 * epoch for name in ("precision", "recall", "f1-score")}
        for name, value in metrics.items():
            record = MetricRecord.scalar_list if isinstance(value, list) else MetricRecord.scalar
            plugin.metric_recorded(record(name, value, epoch))
        plugin.after_evaluation(epoch=epoch)
    return folder / "loss.tsv"


def is_png(path):
    with Image.open(path) as picture:
        picture.load()
        return picture.format == "PNG" and len(np.unique(np.asarray(picture))) > 10


@pytest.mark.parametrize("epochs", [1, 3])
def test_curves_show_what_flair_wrote(epochs, tmp_path, figures):
    training_curves(write_losses(tmp_path, epochs=epochs), tmp_path / "curves.png")
    assert is_png(tmp_path / "curves.png")
    losses, scores = figures[0].axes
    lines = {line.get_label(): line.get_xydata() for axes in (losses, scores) for line in axes.get_lines()}
    assert list(lines) == ["training", "dev", "precision", "recall", "F1"]
    steps = np.arange(1, epochs + 1)
    np.testing.assert_allclose(lines["training"], np.stack([steps, 1 / steps], 1), atol=1e-4)
    np.testing.assert_allclose(lines["dev"], np.stack([steps, 2 / steps], 1), atol=1e-4)
    np.testing.assert_allclose(lines["F1"], np.stack([steps, 0.1 * steps], 1), atol=1e-4)
    assert all(tick == int(tick) for tick in losses.get_xticks())


def test_without_dev_posts_there_is_the_training_loss(tmp_path, figures):
    training_curves(write_losses(tmp_path, epochs=2, dev=False), tmp_path / "curves.png")
    (losses,) = figures[0].axes
    assert [line.get_label() for line in losses.get_lines()] == ["training"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "EPOCH\tTRAIN_LOSS\n",
        "a\tb\n1\t2\n",
        "EPOCH\n1\n",
        "EPOCH\tTRAIN_LOSS\n1\n",
        "EPOCH\tTRAIN_LOSS\n1\tx\n",
        "\xff",
    ],
)
def test_a_damaged_file_is_named_and_the_old_picture_kept(content, tmp_path):
    path, out = tmp_path / "loss.tsv", tmp_path / "curves.png"
    path.write_bytes(content.encode("latin-1"))
    out.write_bytes(b"old")
    with pytest.raises(ConfigurationError, match=r"loss\.tsv: expected the table of losses"):
        training_curves(path, out)
    assert out.read_bytes() == b"old"


def test_the_matrix_shows_counts_and_shares(tmp_path, figures):
    confusion_matrix(GOLD, PREDICTED, ["PER", "LOC"], tmp_path / "confusion.png")
    assert is_png(tmp_path / "confusion.png")
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["2", "0", "1", "1", "0", "0", "0", "0", "0"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 0, 1 / 3], [1, 0, 0], [0, 0, 0]])
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == ["PER", "LOC", "none"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "gold")
    assert "Column none: gold, but not predicted" in figures[0].get_supxlabel()


def test_any_name_of_a_type_can_be_drawn(tmp_path):
    names = ["$", "$x$ \\frac", "work of art"]
    confusion_matrix([[EntitySpan(0, 1, name) for name in names]], [[]], names, tmp_path / "confusion.png")
    assert is_png(tmp_path / "confusion.png")


def test_a_failed_drawing_leaves_the_old_picture(tmp_path):
    out = tmp_path / "confusion.png"
    out.write_bytes(b"old")
    with pytest.raises(ConfigurationError):
        confusion_matrix(GOLD, PREDICTED, ["PER"], out)
    assert out.read_bytes() == b"old"


def test_drawing_needs_no_pyplot(tmp_path, monkeypatch):
    """Pyplot would pick a window system and keep every figure."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    confusion_matrix(GOLD, PREDICTED, ["PER", "LOC"], tmp_path / "confusion.png")
    training_curves(write_losses(tmp_path, epochs=1), tmp_path / "curves.png")
