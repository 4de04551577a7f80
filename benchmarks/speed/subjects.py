"""What is timed: taggers that find about as many entities as there are, and the bare passes inside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, BertModel

from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, ImageRegionEmbeddings, MultimodalTagger
from flair_espvr.io.packaged import MINILM_L6, resolve_packaged
from flair_espvr.nn.features import ImageFeatures

TYPES = ("PER", "LOC", "ORG", "MISC")

ENTITIES_PER_POST = 1.9
"""As many as Twitter-2017 has."""


def encoder_folder(name: str, folder: Path) -> str:
    """Where an encoder's files are: `"minilm"` of the `offline` extra, or a `"base"` made in `folder`.

    The latter has the sizes of bert-base, random weights and MiniLM's vocabulary: times do not depend on weights.
    """
    if name == "minilm":
        return resolve_packaged(MINILM_L6)
    path = folder / "base"
    AutoTokenizer.from_pretrained(resolve_packaged(MINILM_L6)).save_pretrained(path)
    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(path)
    return str(path)


def label_dictionary() -> Dictionary:
    """Return the four types of the Twitter corpora."""
    dictionary = Dictionary(add_unk=False)
    for name in TYPES:
        dictionary.add_item(name)
    dictionary.span_labels = True
    return dictionary


def espvr_tagger(
    encoder: str,
    regions: ImageRegionEmbeddings | None = None,
    *,
    use_caption: bool = False,
    hidden_size: int = 256,
    num_layers: int = 1,
    window: int = 8,
    **arguments: Any,
) -> ESPVRTagger:
    """Return an untrained tagger; the defaults are those that are compared with Flair's tagger."""
    torch.manual_seed(0)
    return ESPVRTagger(
        CaptionedTransformerEmbeddings(encoder, use_caption=use_caption),
        label_dictionary(),
        "ner",
        region_embeddings=regions,
        hidden_size=hidden_size,
        num_layers=num_layers,
        window=window,
        **arguments,
    )


def sequence_tagger(encoder: str, *, use_rnn: bool) -> SequenceTagger:
    """Flair's tagger with a CRF: with its default of one BiLSTM of 256 states, or as one fine-tunes it, without."""
    torch.manual_seed(0)
    return SequenceTagger(
        hidden_size=256,
        embeddings=TransformerWordEmbeddings(encoder, layers="-1", subtoken_pooling="first", fine_tune=True),
        tag_dictionary=label_dictionary(),
        tag_type="ner",
        use_crf=True,
        use_rnn=use_rnn,
        reproject_embeddings=False,
    )


def balance(tagger: MultimodalTagger | SequenceTagger, posts: Sequence[Sentence]) -> None:
    """Shift the scores of `"O"` until an untrained tagger finds `ENTITIES_PER_POST`: writing labels takes time too."""
    sample = list(posts)[:32]

    def found() -> int:
        tagger.predict(sample, label_name="found")
        return sum(len(sentence.get_spans("found")) for sentence in sample)

    def found_by_span_crf() -> int:
        with torch.no_grad():
            output, _ = tagger(sample)
            return int(tagger.network.predict_spans(output.span_emissions, output.mask).mask.sum())

    tagger.eval()
    target = round(ENTITIES_PER_POST * len(sample))
    if isinstance(tagger, SequenceTagger):
        _shift(tagger.linear.bias, tagger.label_dictionary.get_idx_for_item("O"), found, target)
    else:
        if hasattr(tagger.network, "predict_spans") and tagger.region_embeddings is not None:
            _shift(tagger.network.span_emissions.bias, 0, found_by_span_crf, target)
        _shift(tagger.network.tag_emissions.bias, 0, found, target)
    for sentence in sample:
        sentence.remove_labels("found")


def _shift(bias: torch.nn.Parameter, outside: int, found: Callable[[], int], target: int) -> None:
    low, high = -10.0, 10.0
    for _ in range(10):
        middle = (low + high) / 2
        with torch.no_grad():
            bias[outside] = middle
        low, high = (middle, high) if found() > target else (low, middle)


@dataclass(frozen=True)
class ReadyBatch:
    """Everything that the networks read for a batch, in memory."""

    encoder: dict[str, Tensor]
    mask: Tensor
    images: ImageFeatures | None


def prepared(tagger: MultimodalTagger, batch: list[Sentence]) -> ReadyBatch:
    """Return the tensors of a batch."""
    encoder = tagger.embeddings.prepare_tensors(batch)
    lengths = encoder["token_lengths"]
    mask = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
    images = tagger.images(batch)
    if images is not None:
        images = replace(images, regions=images.regions.contiguous())
    return ReadyBatch(encoder, mask, images)


def predicted_batches(tagger: MultimodalTagger, posts: list[Sentence], **arguments: Any) -> list[list[Sentence]]:
    """Return the batches, in order, that `predict` makes of the posts."""
    batches: list[list[Sentence]] = []
    predict_batch = tagger.predict_batch

    def noted(sentences: list[Sentence], **options: Any) -> Any:
        batches.append(sentences)
        return predict_batch(sentences, **options)

    tagger.predict_batch = noted  # type: ignore[method-assign]
    try:
        tagger.predict(posts, **arguments)
    finally:
        del tagger.predict_batch
    return batches


def encoder_pass(tagger: MultimodalTagger, batches: Sequence[ReadyBatch]) -> None:
    """Run the bare encoder over all batches."""
    for batch in batches:
        inputs = {name: tensor for name, tensor in batch.encoder.items() if name not in ("word_ids", "token_lengths")}
        tagger.embeddings.model(**inputs)


def network_pass(tagger: MultimodalTagger, batches: Sequence[ReadyBatch]) -> None:
    """Run the encoder and the head's forward pass over all batches."""
    for batch in batches:
        words = tagger.embeddings(**batch.encoder)["token_embeddings"]
        tagger.network(words, batch.mask, batch.images)
