"""The tagger that every model shares: sentences in, labels with scores and regions out. Its network is a subclass's."""

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import flair
import torch
from flair.data import Corpus, Dictionary, Sentence
from flair.distributed_utils import is_main_process
from flair.embeddings import TokenEmbeddings
from flair.nn import Classifier
from flair.training_utils import Result, store_embeddings
from pydantic import ValidationError
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from flair_espvr.data.sentences import sentence_entities
from flair_espvr.embeddings.image.regions import ImageRegionEmbeddings
from flair_espvr.embeddings.text.word_vectors import BatchEmbeddings, word_mask, word_vectors
from flair_espvr.errors import ConfigurationError
from flair_espvr.flair_compat import iter_dataset
from flair_espvr.models.batching import WINDOW_BATCHES, sentence_batches
from flair_espvr.models.bio_tags import BioTags
from flair_espvr.models.files.embedding_state import savable
from flair_espvr.models.grounded_tagger import GroundedTagger
from flair_espvr.models.inference import evaluating, mixed_precision, without_gradients
from flair_espvr.models.prediction import Prediction, add_distributions, add_labels, predicted_entities
from flair_espvr.models.type_weights import weighted_by_type
from flair_espvr.nn.config import ModelConfig
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.network import NetworkOutput

_EVALUATE = inspect.signature(Classifier.evaluate)

_evaluated_batch_size: ContextVar[int | None] = ContextVar("evaluated_batch_size", default=None)
"""Batch size asked for by the evaluation that this thread runs, which hands `predict` several batches at once."""


class MultimodalTagger(GroundedTagger):
    """A Flair model that tags entities from a sentence and the image in its metadata.

    All that models share is here: word and image features, CRF decoding, scores and their calibration, regions, losses,
    files, evaluation. A model is a subclass under `@register_model(name)` with two attributes, the class of its config
    and that of its network; `network_inputs` is there for a network that reads more than words and images.

    Attributes:
        config_class: The model's hyperparameters.
        network_class: The model's network, built as `network_class(config, word_size=, region_size=, labels=)`.
        config: This tagger's hyperparameters.
        type_weights: How much a training post with a type counts, see `weighted_by_type`; not kept in files.
        last_losses: Mean over the posts of the last training batch, by term of the loss, without weights.
    """

    def __init__(
        self,
        embeddings: TokenEmbeddings,
        label_dictionary: Dictionary,
        label_type: str,
        *,
        region_embeddings: ImageRegionEmbeddings | None = None,
        tag_format: str = "BIO",
        score_temperature: float = 1.0,
        **hyperparameters: Any,
    ) -> None:
        """Build an untrained tagger.

        Args:
            embeddings: Any of Flair's word-level embeddings; `CaptionedTransformerEmbeddings` reads captions too.
            label_dictionary: The entity types, as `corpus.make_label_dictionary(label_type)` gives them.
            label_type: Name of the gold labels in training and of the predicted ones.
            region_embeddings: Regions of the images; None where the model is to read none.
            tag_format: Only `"BIO"` (BIO2), the scheme of the papers and of their data.
            score_temperature: What `calibrate` found; it changes scores and nothing else.
            hyperparameters: The fields of the model's config.

        Raises:
            ConfigurationError: A hyperparameter that the model does not have or of a wrong value, sizes that do not fit
                each other, no entity type, images missing for a model that cannot do without, a temperature out
                of bounds, or embeddings that no safe model file can hold.
        """
        super().__init__()
        if tag_format != "BIO":
            raise ConfigurationError(f"tag_format={tag_format!r}: multimodal taggers know BIO (BIO2) only")
        if not 0.01 <= score_temperature <= 100:  # beyond, dividing by it leaves float32
            raise ConfigurationError(f"score_temperature={score_temperature}: should be a number from 0.01 to 100")
        savable(embeddings)
        config = self._checked(hyperparameters)
        if region_embeddings is None:
            config = self._without_images(config)
        self.config = config
        self.embeddings = embeddings
        self.region_embeddings = region_embeddings if config.reads_images else None
        self.label_dictionary = label_dictionary
        self.tag_format = tag_format
        self.tags = BioTags(label_dictionary.get_items())
        self.type_weights: Mapping[str, float] = {}
        self.last_losses: dict[str, Tensor] = {}
        self._label_type = label_type
        try:
            self.network = self.network_class(config, **self.network_sizes())
        except ValueError as error:
            raise ConfigurationError(f"{type(self).__name__}: {error}") from error
        self.network.tag_crf.temperature = score_temperature
        self.grounding = self._grounding_head()
        self.to(flair.device)

    @property
    @abstractmethod
    def network_class(self) -> Any:
        """The class of the model's network; a subclass sets it as an attribute."""

    @property
    def label_type(self) -> str:
        """Name of the labels that this model learns from and predicts."""
        return self._label_type

    def hyperparameters(self) -> dict[str, Any]:
        """Return the plain keyword arguments that build this model again, besides embeddings, labels and images."""
        return {
            **self.config.model_dump(),
            "tag_format": self.tag_format,
            "score_temperature": self.network.tag_crf.temperature,
        }

    def network_sizes(self) -> dict[str, Any]:
        """Return what the network's constructor takes besides its config: `word_size`, `region_size` and `labels`."""
        return {
            "word_size": self.embeddings.embedding_length,
            "region_size": None if self.region_embeddings is None else self.region_embeddings.embedding_length,
            "labels": self.tags.names,
        }

    def network_inputs(
        self, sentences: list[Sentence], *, keep_embeddings: bool, tags: Tensor | None
    ) -> dict[str, Any]:
        """Return what the network's `forward` is called with for B non-empty sentences: `words`, `mask`, `images`.

        Args:
            sentences: The batch.
            keep_embeddings: Leave word vectors on the tokens.
            tags: (B, T) gold tag ids in training and where a loss is asked for, else None.
        """
        words = word_vectors(self.embeddings, sentences, keep=keep_embeddings)
        return {"words": words, "mask": word_mask(words, sentences), "images": self.images(sentences)}

    def forward(
        self, sentences: list[Sentence], *, keep_embeddings: bool = False, tags: Tensor | None = None
    ) -> tuple[NetworkOutput, ImageFeatures | None]:
        """One pass of B non-empty sentences through the network; arguments are those of `network_inputs`.

        Returns:
            The network's output, and the images that it has seen.
        """
        inputs = self.network_inputs(sentences, keep_embeddings=keep_embeddings, tags=tags)
        return self.network(**inputs), inputs["images"]

    def images(self, sentences: list[Sentence]) -> ImageFeatures | None:
        """Return the images of a batch; None where no sentence has one."""
        if self.region_embeddings is None:
            return None
        images = self.region_embeddings.regions(sentences)
        return images if images.count else None

    def prefetch(self, sentences: Sequence[Sentence]) -> None:
        """Begin to read from disk, in the background, the regions of these sentences."""
        if self.region_embeddings is not None:
            self.region_embeddings.prefetch(sentences)

    def losses(self, sentences: list[Sentence]) -> Mapping[str, Tensor]:
        """Return the terms of the loss of B labelled, non-empty sentences by name, without weights.

        They are those of `Network.losses` and of the grounding head: where labels say what the images show those of
        `GroundingHead.losses`, where they do not and it has a weight that of `GroundingHead.contrast`.
        """
        tags = self._gold_tags(sentences)
        inputs = self.network_inputs(sentences, keep_embeddings=self.embeddings.static_embeddings, tags=tags)
        output = self.network(**inputs)
        return {**self.network.losses(output, tags), **self._grounding_losses(sentences, inputs, output, tags)}

    def forward_loss(self, sentences: list[Sentence]) -> tuple[Tensor, int]:
        """Return the summed loss of a batch and the number of words it was summed over, as Flair's trainer wants them.

        Raises:
            ConfigurationError: The model compares the posts of a batch, and its training cuts batches into chunks, or
                shares them out among GPUs.
        """
        self._refuse_parts()
        sentences = [sentence for sentence in sentences if len(sentence) > 0]
        if not sentences:
            return torch.zeros((), device=flair.device, requires_grad=True), 0
        losses = self.losses(sentences)
        self.last_losses = {name: term.detach().mean() for name, term in losses.items()}
        losses = weighted_by_type(losses, sentences, self.label_type, self.type_weights)
        return self._total_loss(losses, len(sentences)), sum(len(sentence) for sentence in sentences)

    def predict_batch(
        self,
        sentences: list[Sentence],
        *,
        keep_embeddings: bool,
        with_loss: bool,
        with_probabilities: bool,
        with_relevance: bool = False,
    ) -> Prediction:
        """Viterbi tags of B non-empty sentences with posterior span scores and regions; their labels stay untouched.

        Args:
            sentences: The batch.
            keep_embeddings: Leave word vectors on the tokens.
            with_loss: Compute the loss against the gold labels too.
            with_probabilities: Give every tag's posterior too.
            with_relevance: Give every entity's map of the image too.
        """
        tags = self._gold_tags(sentences) if with_loss else None
        inputs = self.network_inputs(sentences, keep_embeddings=keep_embeddings, tags=tags)
        output, images = self.network(**inputs), inputs["images"]
        crf = self.network.tag_crf
        spans = self.network.decode(output)
        scores = crf.span_probabilities(output.emissions, output.mask, spans)
        entities = predicted_entities(
            spans,
            scores,
            self.tags.types,
            grounding=self._grounding(inputs, output, spans),
            pictured=None if images is None else images.present,
            with_relevance=with_relevance,
        )
        loss = None
        if tags is not None:
            losses = {**self.network.losses(output, tags), **self._grounding_losses(sentences, inputs, output, tags)}
            loss = self._total_loss(losses, len(sentences))
        probabilities = crf.label_probabilities(output.emissions, output.mask) if with_probabilities else None
        return Prediction(entities, loss, probabilities)

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
        return_relevance: bool = False,
    ) -> tuple[Tensor, int] | None:
        """Add entity labels, each with its score and, where an image was used, where it shows the entity.

        A label's metadata has `"region"`, which is absent where the answer is that the image does not show the entity,
        and `"grounded"`, how probable it is that it does, from a model that knows something of that.

        Safe to call from several threads with different sentences.

        Args:
            sentences: One sentence, a list or a dataset; empty ones are left alone.
            mini_batch_size: Sentences per forward pass; fewer where one is longer than 512 words.
            return_probabilities_for_all_classes: Also put every tag's posterior on each token.
            verbose: Show a progress bar.
            label_name: Name of the new labels, this model's `label_type` by default. Older labels of that name are
                replaced, all others stay.
            return_loss: Also compute the loss against the gold labels.
            embedding_storage_mode: Flair's `"none"`, `"cpu"` or `"gpu"`.
            max_tokens: Fill batches, in place of `mini_batch_size`, to this many wordpieces (words, for embeddings
                without wordpieces), captions and padding included.
            amp: Mixed precision, see `mixed_precision`: faster, and almost always the same tags.
            return_relevance: Also put the map that a region was found on into the metadata, as `"relevance"`.

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
                    with_loss=return_loss,
                    with_probabilities=return_probabilities_for_all_classes,
                    with_relevance=return_relevance,
                )
                for sentence, entities in zip(batch, prediction.entities, strict=True):
                    add_labels(sentence, entities, label_name)
                if prediction.tag_probabilities is not None:
                    add_distributions(batch, prediction.tag_probabilities, self.tags.names, label_name)
                if prediction.loss is not None:
                    loss += prediction.loss
                    words += sum(len(sentence) for sentence in batch)
                store_embeddings(batch, embedding_storage_mode)
        return (loss, words) if return_loss else None

    def evaluate(
        self, data_points: list[Sentence] | Dataset[Sentence], *arguments: Any, amp: bool = False, **options: Any
    ) -> Result:
        """Flair's evaluation of `predict`; posts of like length share a batch.

        Args:
            data_points: Labelled sentences.
            arguments: The further ones of Flair's `evaluate`.
            amp: Mixed precision, as in `predict`.
            options: Those of Flair's `evaluate` that are given by name.
        """
        call = _EVALUATE.bind(self, data_points, *arguments, **options)
        call.apply_defaults()
        if not is_main_process():  # of several that train together, each evaluates, and one writes
            call.arguments["out_path"] = None
        asked_for = _evaluated_batch_size.set(call.arguments["mini_batch_size"])
        call.arguments["mini_batch_size"] *= WINDOW_BATCHES
        try:
            with mixed_precision(flair.device, enabled=amp):
                return super().evaluate(*call.args[1:], **call.kwargs)
        finally:
            _evaluated_batch_size.reset(asked_for)

    def calibrate(self, sentences: list[Sentence] | Dataset[Sentence], mini_batch_size: int = 32) -> float:
        """Make scores say how often an entity is right, by labelled posts that training did not learn from.

        A trained tagger is too sure of itself. One number, the temperature, divides all scores of the tag CRF where
        posteriors are computed, and is set to where the gold tags of these posts are most probable. What is found stays
        the same, only its scores change. Where the posts have gold regions, `grounding.calibration` is set as well: how
        large a rectangle is answered, and from what probability of being shown on, so that most answers are right, and
        that probability and the region's, so that they come true. All this is kept in the model's files; more training
        puts it out of date.

        Args:
            sentences: Such posts, `corpus.dev` for instance; some hundred entities are enough.
            mini_batch_size: Sentences per forward pass.

        Returns:
            The temperature, above 1 where the scores were too high.

        Raises:
            ConfigurationError: No post has a label of this tagger's `label_type`.
        """
        batches = self._batches(sentences, mini_batch_size, None)
        posts = [post for batch in batches for post in batch]
        if not any(post.get_labels(self.label_type) for post in posts):
            raise ConfigurationError(f"calibrate: none of the {len(posts)} posts has a {self.label_type!r} label")
        measured, known = [], []
        with torch.no_grad(), evaluating(self):
            for batch in batches:
                inputs = self.network_inputs(batch, keep_embeddings=False, tags=None)
                output = self.network(**inputs)
                measured.append((output.emissions, self._gold_tags(batch), output.mask))
                known += self._known_places(batch, inputs, output)
        self.network.tag_crf.fit_temperature(measured)
        self._calibrate_grounding(known)
        return self.network.tag_crf.temperature

    def get_used_tokens(
        self, corpus: Corpus[Sentence], context_length: int = 0, respect_document_boundaries: bool = True
    ) -> Iterator[list[str]]:
        """Every word that the encoder will read, captions and context included (for `reduce_transformer_vocab`)."""
        for sentence in iter_dataset(corpus.get_all_sentences()):
            if isinstance(self.embeddings, BatchEmbeddings):
                yield self.embeddings.used_tokens(sentence)
            else:
                yield [token.text for token in sentence]
            yield [token.text for token in sentence.left_context(context_length, respect_document_boundaries)]
            yield [token.text for token in sentence.right_context(context_length, respect_document_boundaries)]

    @classmethod
    def _checked(cls, hyperparameters: Mapping[str, Any]) -> ModelConfig:
        try:
            return cls.config_class.model_validate(dict(hyperparameters))
        except ValidationError as error:
            fields = cls.config_class.model_fields
            mistakes = [
                f"{name}={mistake['input']!r}: {mistake['msg']}" if name in fields else f"{name}: no such argument"
                for mistake in error.errors()
                for name in [".".join(map(str, mistake["loc"]))]
            ]
            raise ConfigurationError(f"{cls.__name__}: {'; '.join(mistakes)}. It takes {', '.join(fields)}") from None

    @classmethod
    def _without_images(cls, config: ModelConfig) -> ModelConfig:
        try:
            return config.without_images()
        except ValueError as error:
            raise ConfigurationError(f"{cls.__name__}: {error}") from None

    def _refuse_parts(self) -> None:
        """Make sure that what compares the posts of a batch is shown all of them at once."""
        contrasts = self.grounding is not None and self.config.contrast_weight > 0
        if not (self.training and (self.network.compares_posts or contrasts)):
            return
        model = type(self).__name__ + (f" with contrast_weight={self.config.contrast_weight:g}" if contrasts else "")
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            raise ConfigurationError(
                f"multi_gpu: {model} compares the posts of a batch with each other and has to see all of them at once, "
                "while each GPU would see a part; train it on one"
            )
        training = (self.model_card or {}).get("training_parameters", {})  # Flair's trainers write it as they begin
        size, chunk = training.get("mini_batch_size"), training.get("mini_batch_chunk_size")
        if size and chunk and chunk < size:
            raise ConfigurationError(
                f"mini_batch_chunk_size={chunk}: {model} compares the posts of a batch with each other and has to see "
                f"all {size} at once; leave mini_batch_chunk_size out, or make mini_batch_size={chunk}"
            )

    def _gold_tags(self, sentences: list[Sentence]) -> Tensor:
        """Gold tag ids (B, T) of the `label_type` spans, `"O"` on padding."""
        words = max(len(sentence) for sentence in sentences)
        rows = [self.tags.encode(sentence_entities(sentence, self.label_type), words) for sentence in sentences]
        return torch.tensor(rows).to(flair.device, non_blocking=True)

    def _batches(
        self, sentences: list[Sentence] | Sentence | Dataset[Sentence], mini_batch_size: int, max_tokens: int | None
    ) -> list[list[Sentence]]:
        mini_batch_size = _evaluated_batch_size.get() or mini_batch_size
        return sentence_batches(sentences, self.embeddings, mini_batch_size=mini_batch_size, max_tokens=max_tokens)
