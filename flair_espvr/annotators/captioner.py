"""Describing pictures in a sentence: what a captioner is, and one over the image-to-text models of transformers.

Only the caption command comes here: training and prediction read captions and never write them.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import flair
import torch
import transformers
from PIL import Image

from flair_espvr.annotators.pretrained import (
    fitting_dtype,
    load_model,
    load_processor,
    model_identity,
    read_config,
    supported_family,
    versions,
)
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.pretrained import find_model

log = logging.getLogger("flair.espvr.annotators")

FAMILIES = {
    "blip": "BLIP",
    "blip-2": "BLIP-2",
    "git": "GIT",
    "vision-encoder-decoder": "ViT-GPT2 and other pairs of an image encoder and a text decoder",
    "florence2": "Florence-2",
}
"""What `Captioner` runs: the `model_type` in a model's `config.json`, and the name the field knows it by."""

_FLORENCE_PROMPT = "<CAPTION>"


class ImageCaptioner(Protocol):
    """Anything that describes pictures; implement this one method to caption with a model or service of your own.

    `flair_espvr.annotators.caption_writer.caption_images` takes any such object and writes the captions file.
    """

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """Describe each picture.

        Args:
            images: pictures of mode `"RGB"`, of any and of different sizes; they must not be changed.

        Returns:
            one caption for each picture, in order; `""` where there is nothing to say, which is reported and not kept.
        """
        ...


class Captioner:
    """Captions from a pretrained model of one of the `FAMILIES`, the same for the same picture every time.

    The model runs on `flair.device`. Its own code is all that transformers brings: code that comes with a model is
    never run. Beside `num_beams`, `max_new_tokens` and the absence of sampling, decoding is as the model's own
    `generation_config.json` asks.

    Args:
        model: name on the Hugging Face hub, a folder as `save_pretrained` writes it (model and processor), or
            `package:NAME/PATH` for one in an installed package.
        revision: branch, tag or commit on the hub; the default branch when not given.
        batch_size: pictures that go through the model at once; more is faster and takes more memory. Captions do not
            depend on it, but for two that the model finds equally likely within rounding.
        max_new_tokens: length limit of a caption in the model's tokens, its prompt not counted.
        num_beams: width of the beam search; 1 is greedy.
        prompt: text that the model continues ("a photo of"), or the task token of Florence-2 (default `<CAPTION>`).
            It is not part of the caption.
        dtype: precision of the weights; by default bfloat16 or, where the accelerator lacks it, float16, and float32
            on a CPU.

    Raises:
        ConfigurationError: no such model, a family that is not supported, a model that lacks weights or needs code
            of its own, or a prompt for a family that takes none.
    """

    def __init__(
        self,
        model: str | Path = "Salesforce/blip-image-captioning-base",
        *,
        revision: str | None = None,
        batch_size: int = 16,
        max_new_tokens: int = 30,
        num_beams: int = 3,
        prompt: str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if min(batch_size, max_new_tokens, num_beams) < 1:
            raise ConfigurationError(
                "batch_size, max_new_tokens and num_beams are at least 1, "
                f"not {batch_size}, {max_new_tokens} and {num_beams}"
            )
        model = find_model(model, revision=revision)
        config = read_config(model, revision)
        self.family = supported_family(
            config, model, FAMILIES, "For anything else implement flair_espvr.annotators.captioner.ImageCaptioner"
        )
        if self.family == "vision-encoder-decoder" and prompt is not None:
            raise ConfigurationError(f"{model}: this family ({FAMILIES[self.family]}) takes no prompt; leave it out")
        self.prompt = _FLORENCE_PROMPT if self.family == "florence2" and prompt is None else prompt
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.num_beams = num_beams
        self.dtype = dtype or fitting_dtype(flair.device)
        self._name, self._revision = model_identity(model, config.get("_commit_hash") or revision)
        self._processor, self._image_processor, self._tokenizer = _load_processors(model, revision, config)
        self._model = load_model(
            transformers.AutoModelForImageTextToText,
            model,
            revision,
            self.dtype,
            purpose="write captions",
            may_lack=lambda name: ".pooler." in name,  # an encoder's pooler takes no part in a caption
        ).to(flair.device)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides what the captions are, as JSON values; the header of a captions file.

        A model in a folder is named by the folder's last part and, as `revision`, by a hash of its files.
        """
        return {
            "model": self._name,
            "revision": self._revision,
            "dtype": str(self.dtype).removeprefix("torch."),
            "prompt": self.prompt,
            "do_sample": False,
            "num_beams": self.num_beams,
            "max_new_tokens": self.max_new_tokens,
            **versions(),
        }

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """Describe each picture in one line; see `ImageCaptioner`.

        Args:
            images: any number of RGB pictures; `batch_size` go through the model at a time.

        Returns:
            one caption for each picture, without line breaks, tabs or doubled spaces; `""`, with a warning in the
            log, where the model ended without a word.
        """
        captions: list[str] = []
        for start in range(0, len(images), self.batch_size):
            captions += self._caption_batch(list(images[start : start + self.batch_size]))
        if wordless := captions.count(""):
            log.warning("%s had nothing to say about %d of %d pictures", self._name, wordless, len(captions))
        return captions

    @torch.inference_mode()
    def _caption_batch(self, images: list[Image.Image]) -> list[str]:
        inputs = self._inputs(images).to(self._model.device, self.dtype)
        sequences = self._model.generate(
            **inputs, do_sample=False, num_beams=self.num_beams, max_new_tokens=self.max_new_tokens
        )
        written = sequences[:, self._echoed(inputs) :]
        return [" ".join(text.split()) for text in self._tokenizer.batch_decode(written, skip_special_tokens=True)]

    def _inputs(self, images: list[Image.Image]) -> Any:
        """Return what the model takes, a `BatchFeature`; one prompt for all pictures, so nothing is ever padded."""
        if self.prompt is None:
            return self._image_processor(images, return_tensors="pt")
        prompts = [self.prompt] * len(images)
        if self.family == "git":
            # GIT writes on where its text ends, which the [SEP] that its tokenizer adds would forbid.
            inputs = self._image_processor(images, return_tensors="pt")
            inputs["input_ids"] = self._tokenizer(prompts, return_tensors="pt")["input_ids"][:, :-1]
            return inputs
        return self._processor(images=images, text=prompts, return_tensors="pt")

    def _echoed(self, inputs: Any) -> int:
        """How many tokens of the prompt the model's output begins with."""
        if "input_ids" not in inputs:
            return 0
        length = inputs["input_ids"].shape[1]
        if self.family == "blip":
            return length - 1  # BLIP itself drops the tokenizer's [SEP]
        decoder = self._model.language_model if self.family == "blip-2" else self._model
        return 0 if decoder.config.is_encoder_decoder else length


def _load_processors(model: str | Path, revision: str | None, config: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Processor (`None` where the family has none), image processor and tokenizer.

    Raises:
        ConfigurationError: one is missing, or needs code of its own.
    """
    if config["model_type"] == "vision-encoder-decoder":
        image_processor = load_processor(transformers.AutoImageProcessor, model, revision)
        return None, image_processor, load_processor(transformers.AutoTokenizer, model, revision)
    processor = load_processor(transformers.AutoProcessor, model, revision)
    if config["model_type"] == "blip-2" and None in (config.get("image_token_index"), processor.num_query_tokens):
        # Without these transformers would leave the picture out of the prompt, and say nothing.
        raise ConfigurationError(
            f"{model} was saved before BLIP-2 had image tokens (image_token_index in config.json, num_query_tokens in "
            "processor_config.json); take its present revision on the hub"
        )
    return processor, processor.image_processor, processor.tokenizer
