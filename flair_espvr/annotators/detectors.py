"""Object detectors of torchvision and transformers; each answers as its library's own post-processing does.

Pictures go through a model one at a time: what is found in one must not depend, not in the last digit either, on which
others it shared a batch with, or a run that was resumed would give another file.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import flair
import torch
import torchvision
import transformers
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from flair_espvr.annotators.florence import FLORENCE, Florence2
from flair_espvr.annotators.object_detector import ObjectDetector, found_objects, refuse_prompts, require_prompts
from flair_espvr.annotators.own import is_own, own_annotator
from flair_espvr.annotators.pretrained import (
    load_model,
    load_processor,
    model_identity,
    read_config,
    supported_family,
    versions,
)
from flair_espvr.data.picture_object import PictureObject
from flair_espvr.io.pretrained import find_model

Prompts: TypeAlias = Sequence[str] | None

TORCHVISION = ("fasterrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2")
CLASS_FAMILIES = {"detr": "DETR", "rt_detr": "RT-DETR", "rt_detr_v2": "RT-DETR v2"}
PROMPT_FAMILIES = {"grounding-dino": "Grounding DINO", "owlv2": "OWLv2"}

DEFAULT_DETECTOR = "PekingU/rtdetr_v2_r50vd"
DEFAULT_PROMPTED_DETECTOR = "IDEA-Research/grounding-dino-tiny"

_CLASS_THRESHOLD, _PROMPT_THRESHOLD = 0.5, 0.3


class TorchvisionDetector:
    """Faster R-CNN or Mask R-CNN of torchvision with its COCO weights, which torchvision fetches once.

    Args:
        name: one of `TORCHVISION`.
        threshold: least score of an object.
    """

    def __init__(self, name: str, *, threshold: float | None = None) -> None:
        weights = torchvision.models.get_model_weights(name).DEFAULT
        self.threshold = _CLASS_THRESHOLD if threshold is None else threshold
        self._name, self._weights, self._categories = name, str(weights), weights.meta["categories"]
        self._model = torchvision.models.get_model(name, weights=weights).eval().to(flair.device)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides what is found, as JSON values; the header of a file of objects."""
        libraries = {"torchvision": torchvision.__version__, "torch": torch.__version__}
        return {"detector": self._name, "weights": self._weights, "threshold": self.threshold, **libraries}

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Image.Image], prompts: Prompts = None) -> list[list[PictureObject]]:
        """See `ObjectDetector`."""
        refuse_prompts(prompts, self._name)
        return [self._found(picture) for picture in pictures]

    def _found(self, picture: Image.Image) -> list[PictureObject]:
        pixels = pil_to_tensor(picture).to(flair.device).float() / 255
        (result,) = self._model([pixels])
        sure = result["scores"] >= self.threshold
        labels = [self._categories[number] for number in result["labels"][sure].tolist()]
        return found_objects(labels, result["scores"][sure].tolist(), result["boxes"][sure].tolist(), picture.size)


class TransformersDetector:
    """A detector of transformers with fixed classes (`CLASS_FAMILIES`), or one that finds prompts (`PROMPT_FAMILIES`).

    Args:
        model: name on the Hugging Face hub, a folder, or `package:NAME/PATH` for one in an installed package.
        revision: branch, tag or commit on the hub; the default branch when not given.
        threshold: least score of an object; by default 0.5, or 0.3 for prompts.

    Raises:
        ConfigurationError: no such model, one of another family, or one that lacks files or weights.
    """

    def __init__(self, model: str | Path, *, revision: str | None = None, threshold: float | None = None) -> None:
        model = find_model(model, revision=revision)
        config = read_config(model, revision)
        families = {**CLASS_FAMILIES, **PROMPT_FAMILIES}
        self.family = supported_family(config, model, families, "Or implement ObjectDetector, one method")
        self._by_prompts = self.family in PROMPT_FAMILIES
        default = _PROMPT_THRESHOLD if self._by_prompts else _CLASS_THRESHOLD
        self.threshold = default if threshold is None else threshold
        self._name, self._revision = model_identity(model, config.get("_commit_hash") or revision)
        if self._by_prompts:
            kind, processor = transformers.AutoModelForZeroShotObjectDetection, transformers.AutoProcessor
        else:
            kind, processor = transformers.AutoModelForObjectDetection, transformers.AutoImageProcessor
        self._processor = load_processor(processor, model, revision)
        self._model = load_model(kind, model, revision, torch.float32, purpose="detect objects").to(flair.device)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides what is found, as JSON values; the header of a file of objects."""
        named = {"detector": self._name, "revision": self._revision}
        return {**named, "threshold": self.threshold, **versions()}

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Image.Image], prompts: Prompts = None) -> list[list[PictureObject]]:
        """See `ObjectDetector`."""
        asked = self.asked(prompts)
        if asked is None:
            return [self._by_class(picture) for picture in pictures]
        return [self._by_prompt(picture, asked) for picture in pictures]

    def asked(self, prompts: Prompts) -> list[str] | None:
        """Return the prompts, where the model is one that finds prompts.

        Raises:
            ConfigurationError: there are none for such a model, or some for another.
        """
        if self._by_prompts:
            return require_prompts(prompts, self._name)
        refuse_prompts(prompts, self._name)
        return None

    def _by_class(self, picture: Image.Image) -> list[PictureObject]:
        inputs = self._processor(images=picture, return_tensors="pt").to(self._model.device)
        (result,) = self._processor.post_process_object_detection(
            self._model(**inputs), threshold=self.threshold, target_sizes=[picture.size[::-1]]
        )
        labels = [self._model.config.id2label[number] for number in result["labels"].tolist()]
        return found_objects(labels, result["scores"].tolist(), result["boxes"].tolist(), picture.size)

    def _by_prompt(self, picture: Image.Image, prompts: list[str]) -> list[PictureObject]:
        inputs = self._processor(images=picture, text=[prompts], return_tensors="pt").to(self._model.device)
        outputs = self._model(**inputs)
        size = [picture.size[::-1]]
        if self.family == "owlv2":
            (result,) = self._processor.post_process_grounded_object_detection(
                outputs, threshold=self.threshold, target_sizes=size, text_labels=[prompts]
            )
            labels = result["text_labels"]
        else:
            (result,) = self._processor.post_process_grounded_object_detection(
                outputs, inputs["input_ids"], self.threshold, self.threshold, target_sizes=size
            )
            labels = [prompt_of(phrase, prompts) for phrase in result["text_labels"]]
        return found_objects(labels, result["scores"].tolist(), result["boxes"].tolist(), picture.size)


class Florence2Detector:
    """Objects of all kinds by a Florence-2 or, with prompts, the places that it finds for each of them.

    It gives no scores: that of every object is 1.

    Args:
        model: name on the Hugging Face hub, a folder, or `package:NAME/PATH` for one in an installed package.
        revision: branch, tag or commit on the hub; the default branch when not given.

    Raises:
        ConfigurationError: no such model, one of another family, or one that lacks files or weights.
    """

    def __init__(self, model: str | Path, *, revision: str | None = None) -> None:
        self._florence = Florence2(model, revision=revision)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides what is found, as JSON values; the header of a file of objects."""
        return self._florence.settings("detector")

    def detect(self, pictures: Sequence[Image.Image], prompts: Prompts = None) -> list[list[PictureObject]]:
        """See `ObjectDetector`."""
        asked = None if prompts is None else require_prompts(prompts, self._florence.name)
        return [self._found(picture, asked) for picture in pictures]

    def _found(self, picture: Image.Image, prompts: list[str] | None) -> list[PictureObject]:
        if prompts is None:
            answer = self._florence.answer(picture, "<OD>")
            boxes = answer["bboxes"]
            return found_objects(answer["labels"], [1.0] * len(boxes), boxes, picture.size)
        objects = []
        for prompt in prompts:
            boxes = self._florence.answer(picture, "<CAPTION_TO_PHRASE_GROUNDING>", prompt)["bboxes"]
            objects += found_objects([prompt] * len(boxes), [1.0] * len(boxes), boxes, picture.size)
        return objects


def load_detector(
    name: str | None, *, prompts: Sequence[str] | None, revision: str | None, threshold: float | None
) -> tuple[ObjectDetector, dict[str, Any]]:
    """Return the detector of a name, and the settings for its file.

    Args:
        name: one of `TORCHVISION`, a model of transformers, or `package.module:Class`; None for a default.
        prompts: what is to be looked for; decides the default, and has to go with the detector.
        revision: of a model on the hub.
        threshold: least score of an object; None for the detector's own.

    Raises:
        ConfigurationError: there is no such detector, or prompts do not go with it.
    """
    name = name or (DEFAULT_DETECTOR if prompts is None else DEFAULT_PROMPTED_DETECTOR)
    if is_own(name):
        return own_annotator(name, "detect", key="detector")
    if name in TORCHVISION:
        refuse_prompts(prompts, name)
        from_torchvision = TorchvisionDetector(name, threshold=threshold)
        return from_torchvision, from_torchvision.settings
    name = find_model(name, revision=revision)
    if read_config(name, revision).get("model_type") in FLORENCE:
        florence = Florence2Detector(name, revision=revision)
        return florence, florence.settings
    detector = TransformersDetector(name, revision=revision, threshold=threshold)
    detector.asked(prompts)
    return detector, detector.settings


def prompt_of(phrase: str, prompts: Sequence[str]) -> str:
    """Return the prompt that a phrase of a grounding model stands for, `""` for none.

    The model gives the words that a box fits: all of a prompt, a part of it, or words of several, of which the first
    in the phrase counts.
    """
    said = _words(phrase)
    places = {prompt: said.find(_words(prompt)) for prompt in prompts}
    whole = [prompt for prompt in prompts if places[prompt] >= 0]
    if whole:
        return min(whole, key=lambda prompt: (places[prompt], -len(prompt)))
    return next((prompt for prompt in prompts if said.strip() and said in _words(prompt)), "")


def _words(text: str) -> str:
    """Return the words of a text with one space around each, without punctuation, which tokenizers set apart."""
    words = " ".join(re.findall(r"[^\W_]+", text.lower()))
    return f" {words} "
