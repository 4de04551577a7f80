"""Pictures through an annotator into a file, a batch at a time; what the file holds already is left as it is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from more_itertools import chunked
from PIL import Image
from tqdm import tqdm

from flair_espvr.annotators.annotation_file import AnnotationFile, Form, Value
from flair_espvr.errors import BadImageError, ConfigurationError
from flair_espvr.images.loading import load_image

Answer = TypeVar("Answer")


def annotate(
    pictures: Mapping[str, Path],
    path: str | Path,
    describe: Callable[[Sequence[Image.Image]], Sequence[Value | None]],
    *,
    form: Form[Value],
    settings: Mapping[str, Any],
    batch_size: int,
    title: str,
    progress: bool = True,
) -> dict[str, str]:
    """Write what `describe` says of pictures, so that a run that was stopped is resumed by the next.

    Args:
        pictures: picture files by image id, gone through in this order.
        path: the file, see `AnnotationFile`.
        describe: gives a value for each of some RGB pictures, in order; None where it has nothing to say.
        form: how the file is written.
        settings: what the values depend on, for the file's first line.
        batch_size: pictures that are in memory at once; after each batch its lines are on disk.
        title: what the progress bar calls the work.
        progress: show the bar.

    Returns:
        The reason for each picture that has no line now, by image id: it cannot be read, nothing was said about it, or
        its id cannot stand in the file.

    Raises:
        ConfigurationError: the file is not ours to append to, or an annotator miscounts.
        OSError: the file cannot be written.
    """
    if batch_size < 1:
        raise ConfigurationError(f"batch_size is at least 1, not {batch_size}")
    failures: dict[str, str] = {}
    with AnnotationFile(path, settings, form) as file:
        missing = [(image_id, picture) for image_id, picture in pictures.items() if image_id not in file.written]
        present = len(pictures) - len(missing)
        with tqdm(desc=title, total=len(pictures), initial=present, unit="picture", disable=not progress) as bar:
            for batch in chunked(missing, batch_size):
                images = _loaded(batch, form, failures)
                values = _described(describe, images)
                failures.update(dict.fromkeys(images.keys() - values, "nothing was said about it"))
                file.write(values)
                bar.update(len(batch))
    return {image_id: failures[image_id] for image_id in pictures if image_id in failures}


def _loaded(batch: Iterable[tuple[str, Path]], form: Form[Value], failures: dict[str, str]) -> dict[str, Image.Image]:
    images = {}
    for image_id, picture in batch:
        if reason := form.unwritable_id(image_id):
            failures[image_id] = f"its id {reason}"
            continue
        try:
            images[image_id] = load_image(picture)
        except BadImageError as error:
            failures[image_id] = error.reason
    return images


def _described(
    describe: Callable[[Sequence[Image.Image]], Sequence[Value | None]], images: Mapping[str, Image.Image]
) -> dict[str, Value]:
    if not images:
        return {}
    values = describe(list(images.values()))
    return {image_id: value for image_id, value in zip(images, values, strict=True) if value is not None}


def one_for_each(answers: Sequence[Answer], images: Sequence[Image.Image], annotator: object) -> Sequence[Answer]:
    """Return the answers of an annotator, if there is one for each picture.

    Raises:
        ConfigurationError: there are more or fewer.
    """
    if len(answers) != len(images):
        raise ConfigurationError(
            f"{type(annotator).__name__} gave {len(answers)} answers for {len(images)} pictures; it should give one "
            "for each, in order"
        )
    return answers
