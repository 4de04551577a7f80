"""The Flair side of every multimodal tagger: batches, labels, loss, prediction, files. Its network is a subclass's."""

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flair
import torch
from flair.data import Corpus, Dictionary, Label, Sentence, _iter_dataset
from flair.embeddings import TokenEmbeddings
from flair.nn import Classifier
from flair.training_utils import Result, store_embeddings
from torch.utils.data import Dataset
from tqdm import tqdm
from typing_extensions import Self

from flair_espvr.data.region import Region
from flair_espvr.data.sentences import sentence_entities
from flair_espvr.embeddings.text.captioned_transformer import CaptionedTransformerEmbeddings
from flair_espvr.embeddings.text.word_vectors import word_vectors
from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.models.batching import LONG, WINDOW_BATCHES, batches_by_length
from flair_espvr.models.bio_tags import BioTags
from flair_espvr.models.files.allocation_limit import Allowance
from flair_espvr.models.files.checkpoint import (
    check_format,
    damage_explained,
    from_plain,
    marked,
    plain_card,
    read_checkpoint,
    write_checkpoint,
)
from flair_espvr.models.files.embedding_state import rebuild, savable
from flair_espvr.models.files.export import push, read_pretrained, write_pretrained
from flair_espvr.models.files.model_card import ModelFacts
from flair_espvr.models.inference import evaluating, mixed_precision, without_gradients

_EVALUATE = inspect.signature(Classifier.evaluate)


@dataclass(frozen=True)
class Entity:
    """A predicted entity: words `start` to `end` (exclusive), type, posterior probability and region."""

    start: int
    end: int
    type: str
    score: float
    region: Region | None


@dataclass(frozen=True)
class Prediction:
    """What a tagger says of a batch.

    Attributes:
        entities: one list per sentence, left to right.
        losses: (B,) against the gold labels, or None where they were not asked for.
        tag_probabilities: (B,T,L) posterior of every tag of every word, or None where not asked for.
    """

    entities: list[list[Entity]]
    losses: torch.Tensor | None = None
    tag_probabilities: torch.Tensor | None = None


class MultimodalTagger(Classifier[Sentence]):
    """A Flair model that tags entities from a sentence and the picture in its metadata.

    A subclass builds its network in its constructor and implements `batch_losses` and `predict_batch`; the arguments of
    its constructor that are plain values are kept in the model file and given back on loading.
    """

    def __init__(
        self, embeddings: TokenEmbeddings, label_dictionary: Dictionary, label_type: str, *, tag_format: str = "BIO"
    ) -> None:
        """Sets up what all multimodal taggers share.

        Args:
            embeddings: any of Flair's word-level embeddings.
            label_dictionary: the entity types, as `corpus.make_label_dictionary(label_type)` gives them.
            label_type: name of the gold labels in training and of the predicted ones.
            tag_format: only `"BIO"` (BIO2), the scheme of the paper and of its data.

        Raises:
            ConfigurationError: no entity type, an unknown `tag_format`, or embeddings that no safe model file can hold.
        """
        super().__init__()
        if tag_format != "BIO":
            raise ConfigurationError(f"tag_format={tag_format!r}: multimodal taggers know BIO (BIO2) only")
        savable(embeddings)
        self.embeddings = embeddings
        self.label_dictionary = label_dictionary
        self.tag_format = tag_format
        self.tags = BioTags(label_dictionary.get_items())
        self._label_type = label_type
        self._evaluated_batch_size: int | None = None
        """Of the evaluation that goes on: Flair's asks for many batches' posts at once, as if they were one batch."""

    @property
    def label_type(self) -> str:
        """Name of the labels that this model learns from and predicts."""
        return self._label_type

    @abstractmethod
    def batch_losses(self, sentences: list[Sentence]) -> torch.Tensor:
        """The loss of each of B labelled, non-empty sentences, (B,)."""

    @abstractmethod
    def predict_batch(
        self, sentences: list[Sentence], *, keep_embeddings: bool, with_losses: bool, with_probabilities: bool
    ) -> Prediction:
        """Tags B non-empty sentences, without touching their labels.

        Args:
            sentences: the batch.
            keep_embeddings: leave word vectors on the tokens.
            with_losses: compute the loss against the gold labels too.
            with_probabilities: give every tag's posterior too.
        """

    def prefetch(self, sentences: Sequence[Sentence]) -> None:
        """Begins to read from disk, in the background, what these sentences will need; by default nothing."""

    @abstractmethod
    def hyperparameters(self) -> dict[str, Any]:
        """The plain keyword arguments that build this model again, besides embeddings, labels and pictures."""

    def forward_loss(self, sentences: list[Sentence]) -> tuple[torch.Tensor, int]:
        """The summed loss of a batch and the number of words it was summed over, as Flair's trainer wants them."""
        sentences = [sentence for sentence in sentences if len(sentence) > 0]
        if not sentences:
            return torch.zeros((), device=flair.device, requires_grad=True), 0
        return self.batch_losses(sentences).sum(), sum(len(sentence) for sentence in sentences)

    def predict(
        self,
        sentences: list[Sentence] | Sentence | Dataset[Sentence],
        mini_batch_size: int = 32,
        return_probabilities_for_all_classes: bool = False,
        verbose: bool = False,
        label_name: str | None = None,
        return_loss: bool = False,
        embedding_storage_mode: str | None = "none",
        *,
        max_tokens: int | None = None,
        amp: bool = False,
    ) -> tuple[torch.Tensor, int] | None:
        """Adds entity labels, each with its score and, where a picture was used, its `"region"` metadata.

        Args:
            sentences: one sentence, a list or a dataset; empty ones are left alone.
            mini_batch_size: sentences per forward pass; fewer where one is longer than 512 words.
            return_probabilities_for_all_classes: also put every tag's posterior on each token.
            verbose: show a progress bar.
            label_name: name of the new labels, this model's `label_type` by default. Older labels of that name are
                replaced, all others stay.
            return_loss: also compute the loss against the gold labels.
            embedding_storage_mode: Flair's `"none"`, `"cpu"` or `"gpu"`.
            max_tokens: fill batches, in place of `mini_batch_size`, to this many wordpieces (words, for embeddings
                without wordpieces), captions and padding included.
            amp: mixed precision, see `mixed_precision`: faster, and almost always the same tags.

        Returns:
            Summed loss and word count with `return_loss`, else None.
        """
        label_name = label_name or self.label_type
        batches = self._batches(sentences, mini_batch_size, max_tokens)
        keep = embedding_storage_mode not in (None, "none")
        loss, words = torch.zeros(1, device=flair.device), 0
        with without_gradients(keep_embeddings=keep), evaluating(self), mixed_precision(flair.device, enabled=amp):
            shown = tqdm(batches, desc="Tagging", unit="batch") if verbose else batches
            for place, batch in enumerate(shown, start=1):
                if place < len(batches):
                    self.prefetch(batches[place])
                prediction = self.predict_batch(
                    batch,
                    keep_embeddings=keep,
                    with_losses=return_loss,
                    with_probabilities=return_probabilities_for_all_classes,
                )
                for sentence, entities in zip(batch, prediction.entities, strict=True):
                    _label(sentence, entities, label_name)
                if prediction.tag_probabilities is not None:
                    self._add_distributions(batch, prediction.tag_probabilities, label_name)
                if prediction.losses is not None:
                    loss += prediction.losses.sum()
                    words += sum(len(sentence) for sentence in batch)
                store_embeddings(batch, embedding_storage_mode)
        return (loss, words) if return_loss else None

    def evaluate(
        self, data_points: list[Sentence] | Dataset[Sentence], *arguments: Any, amp: bool = False, **options: Any
    ) -> Result:
        """Flair's evaluation of `predict`; posts of like length share a batch.

        Args:
            data_points: labelled sentences.
            arguments: the further ones of Flair's `evaluate`.
            amp: mixed precision, as in `predict`.
            options: those of Flair's `evaluate` that are given by name.
        """
        call = _EVALUATE.bind(self, data_points, *arguments, **options)
        call.apply_defaults()
        self._evaluated_batch_size = call.arguments["mini_batch_size"]
        call.arguments["mini_batch_size"] *= WINDOW_BATCHES
        try:
            with mixed_precision(flair.device, enabled=amp):
                return super().evaluate(*call.args[1:], **call.kwargs)
        finally:
            self._evaluated_batch_size = None

    def get_used_tokens(
        self, corpus: Corpus[Sentence], context_length: int = 0, respect_document_boundaries: bool = True
    ) -> Iterator[list[str]]:
        """Every word that the encoder will read, captions and context included (for `reduce_transformer_vocab`)."""
        for sentence in _iter_dataset(corpus.get_all_sentences()):
            if isinstance(self.embeddings, CaptionedTransformerEmbeddings):
                yield self.embeddings.used_tokens(sentence)
            else:
                yield [token.text for token in sentence]
            yield [token.text for token in sentence.left_context(context_length, respect_document_boundaries)]
            yield [token.text for token in sentence.right_context(context_length, respect_document_boundaries)]

    def save(self, model_file: str | Path, checkpoint: bool = False) -> None:
        """Writes the model file, atomically; see `flair_espvr.models.files.checkpoint` for what it may hold.

        Args:
            model_file: where to.
            checkpoint: Flair's; unused there too.
        """
        write_checkpoint(model_file, self._get_state_dict())

    @classmethod
    def load(cls, model_path: str | Path | dict[str, Any]) -> Self:
        """Reads a model file without running code in it.

        Args:
            model_path: a file that `save` wrote, or its state as Flair's loader hands it over.

        Raises:
            FileNotFoundError: there is no such file.
            UnsafeModelError: the file hides code, is damaged, is not ours, is of a newer format or of another class.
        """
        if isinstance(model_path, dict):
            state, source = model_path, "the given state"
            check_format(state, source)
        else:
            state, source = read_checkpoint(model_path), str(model_path)
        written_by = state.get("__cls__", cls.__name__)
        if not inspect.isabstract(cls) and written_by != cls.__name__:
            raise UnsafeModelError(f"{source}: holds a {written_by}, not a {cls.__name__}; load it with that class")
        with damage_explained():
            return super().load(state)

    def save_pretrained(self, folder: str | Path, *, include_backbone: bool = False) -> None:
        """Exports the tagger as safetensors and JSON, atomically as a whole; see `flair_espvr.models.files.export`."""
        write_pretrained(folder, self._file_state(include_backbone=include_backbone))

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, **hub_arguments: Any) -> Self:
        """Loads an export from a folder or the hub (`org/name`) without running code; see `read_pretrained`."""
        return cls.load(read_pretrained(name, revision=revision, **hub_arguments))

    def push_to_hub(
        self, repo: str, *, facts: ModelFacts | None = None, include_backbone: bool = False, **hub_arguments: Any
    ) -> str:
        """Publishes the tagger with its model card and returns the commit's address; see `push`."""
        state = self._file_state(include_backbone=include_backbone)
        return push(state, repo, facts=facts, types=self.tags.types, **hub_arguments)

    def _file_state(self, *, include_backbone: bool) -> dict[str, Any]:
        """All that a model's files hold; a subclass with an image backbone adds its weights where asked to."""
        if include_backbone:
            raise ConfigurationError("include_backbone: this tagger reads no pictures, so it has no backbone")
        return self._get_state_dict()

    def _word_vectors(self, sentences: list[Sentence], *, keep: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Word vectors (B,T,D_enc) and which of them are words (B,T)."""
        words = word_vectors(self.embeddings, sentences, keep=keep)
        lengths = torch.tensor([len(sentence) for sentence in sentences]).to(words.device, non_blocking=True)
        return words, torch.arange(words.shape[1], device=words.device) < lengths[:, None]

    def _gold_tags(self, sentences: list[Sentence], words: int) -> torch.Tensor:
        """Gold tag ids (B,T) of the `label_type` spans, `"O"` on padding."""
        rows = [self.tags.encode(sentence_entities(sentence, self.label_type), words) for sentence in sentences]
        return torch.tensor(rows).to(flair.device, non_blocking=True)

    def _batches(
        self, sentences: list[Sentence] | Sentence | Dataset[Sentence], mini_batch_size: int, max_tokens: int | None
    ) -> list[list[Sentence]]:
        """The sentences that have words, in batches of like lengths; each knows its neighbours of before."""
        if isinstance(sentences, Sentence):
            sentences = [sentences]
        elif isinstance(sentences, Dataset):
            sentences = list(_iter_dataset(sentences))
        Sentence.set_context_for_sentences(sentences)
        sentences = [sentence for sentence in sentences if len(sentence) > 0]
        mini_batch_size = self._evaluated_batch_size or mini_batch_size
        lengths = [len(sentence) for sentence in sentences]
        if max_tokens is None and len(sentences) <= mini_batch_size and max(lengths, default=0) <= LONG:
            return [sentences] if sentences else []
        if isinstance(self.embeddings, CaptionedTransformerEmbeddings):
            # The encoder cuts what is too long for it; the layers after it read every word.
            lengths = list(map(max, self.embeddings.input_lengths(sentences), lengths))
        places = batches_by_length(lengths, mini_batch_size=mini_batch_size, max_tokens=max_tokens)
        return [[sentences[place] for place in batch] for batch in places]

    def _add_distributions(self, sentences: list[Sentence], probabilities: torch.Tensor, label_name: str) -> None:
        for sentence, rows in zip(sentences, probabilities.tolist(), strict=True):
            for token, row in zip(sentence, rows, strict=False):  # rows run on into padding
                labels = [Label(token, tag, score) for tag, score in zip(self.tags.names, row, strict=True)]
                token.add_tags_proba_dist(label_name, labels)

    def _get_state_dict(self) -> dict[str, Any]:
        state = {
            **super()._get_state_dict(),
            "embeddings": self.embeddings.save_embeddings(use_state_dict=False),
            "label_dictionary": self.label_dictionary,
            "label_type": self.label_type,
            "hyperparameters": self.hyperparameters(),
        }
        if self.model_card is not None:
            state["model_card"] = plain_card(self.model_card)
        return marked(state)  # here, not in `save`: Flair's containers ask for the state and write it themselves

    @classmethod
    def _init_model_with_state_dict(cls, state: dict[str, Any], **kwargs: Any) -> Self:
        with Allowance(state["state_dict"]):
            return super()._init_model_with_state_dict(
                state,
                embeddings=rebuild(from_plain(state["embeddings"])),
                label_dictionary=from_plain(state["label_dictionary"]),
                label_type=state["label_type"],
                **state["hyperparameters"],
                **kwargs,
            )


def _label(sentence: Sentence, entities: Sequence[Entity], label_name: str) -> None:
    sentence.remove_labels(label_name)
    for entity in entities:
        support = {} if entity.region is None else {"region": entity.region}
        sentence[entity.start : entity.end].add_label(label_name, entity.type, entity.score, **support)
