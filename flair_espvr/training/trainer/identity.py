"""Whether two training runs are the same one: what is trained, on what, and how, as plain data."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import flair
from flair.data import Corpus, Sentence
from flair.nn import Model
from torch.utils.data import Dataset

from flair_espvr.data.metadata import CAPTION, CONTEXTS, IMAGE, IMAGE_ID, REGIONS, metadata_or_none, sentence_images
from flair_espvr.models.capabilities import HasHyperparameters

_WITHOUT_EFFECT = {
    "self",
    "base_path",
    "epoch",
    "save_final_model",
    "save_optimizer_state",
    "save_model_each_k_epochs",
    "create_file_logs",
    "create_loss_file",
    "write_weights",
}
"""Arguments of Flair's trainer that say where files go, not what is learned."""


def run_identity(
    model: Model[Sentence], corpus: Corpus[Sentence], arguments: Mapping[str, Any], notes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what must be equal for a run to go on as the same one.

    Args:
        model: before its training.
        corpus: its posts.
        arguments: of Flair's `ModelTrainer.train_custom`, defaults included.
        notes: what the caller wants compared besides.
    """
    return {
        "model": _model(model),
        "data": {split: _digest(getattr(corpus, split), model.label_type) for split in ("train", "dev", "test")},
        "training": {
            **{name: _plain(value) for name, value in arguments.items() if name not in _WITHOUT_EFFECT},
            "plugins": [_plugin(plugin) for plugin in arguments["plugins"] or []],
        },
        "device": flair.device.type,
        "notes": _plain(notes),
    }


def differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """Where two nested dicts of plain values differ, as `dotted.path: value before, now value`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}, key=str):
            place = f"{where}.{name}" if where else str(name)
            yield from differences(before.get(name, "absent"), now.get(name, "absent"), place)
    elif before != now:
        yield f"{where}: {_short(before)}, now {_short(now)}"


def _model(model: Model[Sentence]) -> dict[str, Any]:
    labels = getattr(model, "label_dictionary", None)
    return {
        "class": _name(type(model)),
        "labels": None if labels is None else labels.get_items(),
        "hyperparameters": _hyperparameters(model) if isinstance(model, HasHyperparameters) else {},
        "shapes": {name: list(value.shape) for name, value in model.state_dict().items()},
    }


def _hyperparameters(model: HasHyperparameters) -> dict[str, Any]:
    """Without those that a training of before they existed had all the same: it goes on."""
    before = model.config_class.meant_before
    return {
        name: _plain(value)
        for name, value in model.hyperparameters().items()
        if name not in before or value != before[name]
    }


def _digest(split: Dataset[Sentence] | None, label_type: str) -> str | None:
    """SHA-256 of the posts: text, gold labels and regions, contexts, and the name and presence of the picture."""
    if split is None:
        return None
    digest = hashlib.sha256()
    for index in range(len(split)):  # type: ignore[arg-type]  # a loader would draw a random number
        post = split[index]
        labels = [(label.unlabeled_identifier, label.value) for label in post.get_labels(label_type)]
        metadata = [metadata_or_none(post, CAPTION), metadata_or_none(post, IMAGE_ID), post.has_metadata(IMAGE)]
        if (pictures := len(sentence_images(post))) > 1:
            metadata.append(("pictures", pictures))
        # What a post does not have leaves no trace: a training of before these contexts and regions goes on.
        metadata += [{key: post.get_metadata(key)} for key in CONTEXTS if key != CAPTION and post.has_metadata(key)]
        gold_labels = enumerate(post.get_labels(label_type))
        metadata += [(number, label.metadata[REGIONS]) for number, label in gold_labels if REGIONS in label.metadata]
        digest.update(repr((post.text, labels, metadata)).encode())
    return digest.hexdigest()


def _plugin(plugin: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in plugin.get_state().items() if name != "base_path"}


def _plain(value: Any) -> Any:
    """Plain values as they are, classes and other objects by the names of their classes."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _name(value if isinstance(value, type) else type(value))


def _name(kind: type) -> str:
    """Return the class's own name, as model files have it: its module may move between versions."""
    return kind.__qualname__


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
