"""Reading the text in pictures: what a reader is, and those over RapidOCR and Florence-2."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from flair_espvr.annotators.own import is_own, own_annotator
from flair_espvr.errors import ConfigurationError

RAPIDOCR = "rapidocr"


class TextReader(Protocol):
    """Anything that reads text in pictures; implement this one method for a model or service of your own.

    `flair_espvr.annotators.text_writer.read_text` takes any such object and writes the file.
    """

    def read(self, pictures: Sequence[Image.Image]) -> list[str]:
        """Read the text in each picture.

        Args:
            pictures: of mode `"RGB"`, of any and of different sizes; they must not be changed.

        Returns:
            the text of each picture, in order, as people read it; `""` where there is none.
        """
        ...


class RapidOCRReader:
    """Text by RapidOCR (PP-OCR through ONNX Runtime), whose models come in its package: nothing is fetched.

    Args:
        min_score: how sure it has to be of a line, 0..1.

    Raises:
        ConfigurationError: RapidOCR is not installed.
    """

    def __init__(self, *, min_score: float = 0.5) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise ConfigurationError(
                f"reading text with RapidOCR needs it ({error}): pip install 'flair-espvr[ocr]'"
            ) from error
        self.min_score = min_score
        threads = torch.get_num_threads()  # ONNX Runtime would take every core, whatever OMP_NUM_THREADS says
        self._engine: Any = RapidOCR(
            params={
                "Global.text_score": min_score,
                "Global.log_level": "error",
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            }
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What decides what is read, as JSON values; the header of a file of texts."""
        libraries = {"rapidocr": version("rapidocr"), "onnxruntime": version("onnxruntime")}
        return {"reader": RAPIDOCR, "min_score": self.min_score, **libraries}

    def read(self, pictures: Sequence[Image.Image]) -> list[str]:
        """See `TextReader`."""
        return [self._read(picture) for picture in pictures]

    def _read(self, picture: Image.Image) -> str:
        blue_green_red = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
        return " ".join(self._engine(blue_green_red).txts or ())


class Florence2Reader:
    """Text by a Florence-2.

    Args:
        model: name on the Hugging Face hub, a folder, or `package:NAME/PATH` for one in an installed package.
        revision: branch, tag or commit on the hub; the default branch when not given.

    Raises:
        ConfigurationError: no such model, one of another family, or one that lacks files or weights.
    """

    def __init__(self, model: str | Path, *, revision: str | None = None) -> None:
        from flair_espvr.annotators.florence import Florence2  # which RapidOCR does not need

        self._florence = Florence2(model, revision=revision)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides what is read, as JSON values; the header of a file of texts."""
        return self._florence.settings("reader")

    def read(self, pictures: Sequence[Image.Image]) -> list[str]:
        """See `TextReader`."""
        return [self._florence.answer(picture, "<OCR>") for picture in pictures]


def load_reader(name: str, *, revision: str | None) -> tuple[TextReader, dict[str, Any]]:
    """Return the reader of a name, and the settings for its file.

    Args:
        name: `rapidocr`, a Florence-2, or `package.module:Class`.
        revision: of a model on the hub.

    Raises:
        ConfigurationError: there is no such reader.
    """
    if is_own(name):
        return own_annotator(name, "read", key="reader")
    reader = RapidOCRReader() if name == RAPIDOCR else Florence2Reader(name, revision=revision)
    return reader, reader.settings
