"""Florence-2, which answers a task token: objects, phrases and text in a picture."""

from pathlib import Path
from typing import Any

import flair
import torch
import transformers
from PIL import Image

from flair_espvr.annotators.pretrained import (
    load_model,
    load_processor,
    model_identity,
    read_config,
    supported_family,
    versions,
)
from flair_espvr.io.pretrained import find_model

FLORENCE = {"florence2": "Florence-2"}
"""Its `model_type`, and the name the field knows it by."""

_MAX_NEW_TOKENS = 1024


class Florence2:
    """A Florence-2 on `flair.device`, in float32, with greedy decoding: the same answer to the same picture every time.

    Args:
        model: name on the Hugging Face hub, a folder, or `package:NAME/PATH` for one in an installed package.
        revision: branch, tag or commit on the hub; the default branch when not given.

    Raises:
        ConfigurationError: no such model, one of another family, or one that lacks files or weights.
    """

    def __init__(self, model: str | Path, *, revision: str | None = None) -> None:
        model = find_model(model, revision=revision)
        config = read_config(model, revision)
        supported_family(config, model, FLORENCE, "For anything else name a class of your own, package.module:Class")
        self.name, self.revision = model_identity(model, config.get("_commit_hash") or revision)
        self._processor = load_processor(transformers.AutoProcessor, model, revision)
        self._model = load_model(
            transformers.AutoModelForImageTextToText, model, revision, torch.float32, purpose="answer tasks"
        ).to(flair.device)

    def settings(self, role: str) -> dict[str, Any]:
        """Return what decides its answers, as JSON values.

        The header of a file, which calls it by its role, `"reader"`.
        """
        return {role: self.name, "revision": self.revision, "num_beams": 1, **versions()}

    @torch.inference_mode()
    def answer(self, image: Image.Image, task: str, text: str = "") -> Any:
        """Return what it says of a picture: a text, or `{"bboxes": ..., "labels": ...}` in pixels.

        Args:
            image: an RGB picture.
            task: a task token, `"<OD>"` for instance.
            text: what the task is about, where it is about something.
        """
        inputs = self._processor(text=task + text, images=image, return_tensors="pt").to(self._model.device)
        sequences = self._model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=_MAX_NEW_TOKENS)
        written = self._processor.batch_decode(sequences, skip_special_tokens=False)[0]
        return self._processor.post_process_generation(text=written, task=task, image_size=image.size)[task]
