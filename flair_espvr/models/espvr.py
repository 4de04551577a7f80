"""ESPVR as a Flair model: entity spans position visual regions (Findings of EMNLP 2023)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flair
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import TokenEmbeddings
from torch.utils.data import Dataset
from typing_extensions import Self

from flair_espvr.data.region import Region
from flair_espvr.embeddings.image.regions import ImageRegionEmbeddings
from flair_espvr.errors import ConfigurationError
from flair_espvr.models.files.checkpoint import from_plain, write_checkpoint
from flair_espvr.models.files.embedding_state import rebuild
from flair_espvr.models.inference import evaluating
from flair_espvr.models.regions import picture_regions
from flair_espvr.models.tagger import Entity, MultimodalTagger, Prediction
from flair_espvr.nn.layers.positioning import RegionPositions
from flair_espvr.nn.layers.spans import Spans, bio_spans
from flair_espvr.nn.networks.espvr import SPAN_LABELS, ESPVRNetwork, ESPVROutput, Positioning, Regions, VisualInput


class ESPVRTagger(MultimodalTagger):
    """Tags entities from words, caption and the picture regions that the entities' own spans position."""

    def __init__(
        self,
        embeddings: TokenEmbeddings,
        label_dictionary: Dictionary,
        label_type: str,
        *,
        region_embeddings: ImageRegionEmbeddings | None = None,
        regions: Regions = "positioned",
        positioning: Positioning = "straight_through",
        window: int = 8,
        hidden_size: int = 512,
        num_heads: int = 8,
        num_layers: int = 4,
        dropout: float = 0.4,
        span_loss_weight: float = 0.08,
        positioning_spans: str = "predicted",
        tag_format: str = "BIO",
        score_temperature: float = 1.0,
    ) -> None:
        """Builds an untrained tagger; the defaults are the paper's where it prints them.

        Args:
            embeddings: word vectors, `CaptionedTransformerEmbeddings` in the paper; any word-level embeddings will do.
            label_dictionary: the entity types.
            label_type: name of the gold and predicted labels.
            region_embeddings: picture regions; None is `regions="none"`, whatever `regions` says.
            regions: `"positioned"` (the paper), `"all"` (the whole picture) or `"none"` (text and caption only).
            positioning: `"straight_through"` gives the window's place a gradient in training, `"hard"` does not; both
                predict alike.
            window: edge of the positioned window in regions (the paper's alpha, which it does not print).
            hidden_size: D.
            num_heads: heads of every attention layer.
            num_layers: self-attention layers over the words (3.3).
            dropout: in every layer of the network.
            span_loss_weight: lambda of Eq. 10.
            positioning_spans: position with the `"predicted"` spans (the paper), or in training with the `"gold"` ones.
            tag_format: `"BIO"`.
            score_temperature: what `calibrate` found; it changes scores and nothing else.

        Raises:
            ConfigurationError: an unknown choice, sizes that do not fit each other, a temperature that is not above 0,
                or no type in the dictionary.
        """
        super().__init__(embeddings, label_dictionary, label_type, tag_format=tag_format)
        _check_choice("regions", regions, ("positioned", "all", "none"))
        _check_choice("positioning", positioning, ("straight_through", "hard"))
        _check_choice("positioning_spans", positioning_spans, ("predicted", "gold"))
        if window < 1:
            raise ConfigurationError(f"window={window}: a window has at least one region")
        if hidden_size % num_heads:
            raise ConfigurationError(f"hidden_size={hidden_size} is not a multiple of num_heads={num_heads}")
        if not 0 < score_temperature < math.inf:
            raise ConfigurationError(f"score_temperature={score_temperature}: should be a number above 0")
        if region_embeddings is None:
            regions = "none"
        self.region_embeddings = region_embeddings if regions != "none" else None
        self.positioning_spans = positioning_spans
        self._hyperparameters: dict[str, Any] = {
            "regions": regions,
            "positioning": positioning,
            "window": window,
            "hidden_size": hidden_size,
            "num_heads": num_heads,
            "num_layers": num_layers,
            "dropout": dropout,
            "span_loss_weight": span_loss_weight,
        }
        self.network = ESPVRNetwork(
            word_size=embeddings.embedding_length,
            region_size=None if self.region_embeddings is None else self.region_embeddings.embedding_length,
            labels=self.tags.names,
            **self._hyperparameters,
        )
        self.network.tag_crf.temperature = score_temperature
        self.to(flair.device)

    def hyperparameters(self) -> dict[str, Any]:
        """The plain arguments of the constructor."""
        return {
            **self._hyperparameters,
            "positioning_spans": self.positioning_spans,
            "tag_format": self.tag_format,
            "score_temperature": self.network.tag_crf.temperature,
        }

    def forward(
        self, sentences: list[Sentence], *, keep_embeddings: bool = False, spans: Spans | None = None
    ) -> tuple[ESPVROutput, VisualInput | None]:
        """One forward pass over B non-empty sentences.

        Args:
            sentences: the batch.
            keep_embeddings: leave word vectors on the tokens.
            spans: entity spans to position with in place of the predicted ones.
        """
        words, mask = self._word_vectors(sentences, keep=keep_embeddings)
        visual = self._visual_input(sentences)
        return self.network(words, mask, visual, spans), visual

    def prefetch(self, sentences: Sequence[Sentence]) -> None:
        """Begins to read the regions of these sentences from the store."""
        if self.region_embeddings is not None:
            self.region_embeddings.prefetch(sentences)

    def batch_losses(self, sentences: list[Sentence]) -> torch.Tensor:
        """Eq. 10 of each of B labelled sentences, (B,)."""
        tags = self._gold_tags(sentences, max(len(sentence) for sentence in sentences))
        teacher = self._gold_spans(tags) if self.training and self.positioning_spans == "gold" else None
        output, _ = self(sentences, keep_embeddings=self.embeddings.static_embeddings, spans=teacher)
        return self.network.loss(output, tags, self._span_tags(tags))

    def predict_batch(
        self, sentences: list[Sentence], *, keep_embeddings: bool, with_losses: bool, with_probabilities: bool
    ) -> Prediction:
        """Viterbi tags with posterior span scores, and each entity's own region of the picture."""
        output, visual = self(sentences, keep_embeddings=keep_embeddings)
        emissions, mask = output.tag_emissions, output.mask
        spans = self.network.decode(output)
        scores = self.network.tag_crf.span_probabilities(emissions, mask, spans)
        regions = self._entity_regions(output, spans, visual)
        losses = None
        if with_losses:
            tags = self._gold_tags(sentences, mask.shape[1])
            losses = self.network.loss(output, tags, self._span_tags(tags))
        probabilities = self.network.tag_crf.label_probabilities(emissions, mask) if with_probabilities else None
        return Prediction(self._entities(spans, scores, regions), losses, probabilities)

    def calibrate(self, sentences: list[Sentence] | Dataset[Sentence], mini_batch_size: int = 32) -> float:
        """Makes scores say how often an entity is right, by labelled posts that training did not learn from.

        A trained tagger is too sure of itself. One number, the temperature, divides all scores of the tag CRF where
        posteriors are computed, and is set to where the gold tags of these posts are most probable. What is found stays
        the same, only its scores change. The number is kept in the model's files; more training puts it out of date.

        Args:
            sentences: such posts, `corpus.dev` for instance; some hundred entities are enough.
            mini_batch_size: sentences per forward pass.

        Returns:
            The temperature: above 1 where the scores were too high.

        Raises:
            ConfigurationError: no post has a label of this tagger's `label_type`.
        """
        batches = self._batches(sentences, mini_batch_size, None)
        posts = [post for batch in batches for post in batch]
        if not any(post.get_labels(self.label_type) for post in posts):
            raise ConfigurationError(f"calibrate: none of the {len(posts)} posts has a {self.label_type!r} label")
        measured = []
        with torch.no_grad(), evaluating(self):
            for batch in batches:
                output, _ = self(batch)
                measured.append((output.tag_emissions, self._gold_tags(batch, output.mask.shape[1]), output.mask))
        self.network.tag_crf.fit_temperature(measured)
        return self.network.tag_crf.temperature

    def position_regions(self, sentences: list[Sentence]) -> RegionPositions | None:
        """Where the fusion looks for B non-empty sentences (b_c, b_l and v).

        None unless regions are positioned and a sentence has a picture.
        """
        with torch.no_grad(), evaluating(self):
            output, _ = self(sentences)
        return output.positions

    def save(self, model_file: str | Path, checkpoint: bool = False, *, include_backbone: bool = False) -> None:
        """Writes the model file, atomically.

        Args:
            model_file: where to.
            checkpoint: Flair's; unused there too.
            include_backbone: also keep the frozen image backbone, which is otherwise named and fingerprinted only.

        Raises:
            ConfigurationError: `include_backbone` without `region_embeddings`.
        """
        write_checkpoint(model_file, self._file_state(include_backbone=include_backbone))

    def _file_state(self, *, include_backbone: bool) -> dict[str, Any]:
        if not include_backbone or self.region_embeddings is None:
            return super()._file_state(include_backbone=include_backbone)
        return {**self._get_state_dict(), "backbone": self.region_embeddings.backbone_state()}

    def _get_state_dict(self) -> dict[str, Any]:
        state = super()._get_state_dict()
        if self.region_embeddings is not None:
            state["region_embeddings"] = self.region_embeddings.save_embeddings(use_state_dict=False)
        return state

    @classmethod
    def _init_model_with_state_dict(cls, state: dict[str, Any], **kwargs: Any) -> Self:
        region_embeddings = None
        if state.get("region_embeddings"):
            region_embeddings = rebuild(from_plain(state["region_embeddings"]))
            if "backbone" in state:
                region_embeddings.load_backbone_state(state["backbone"])
        return super()._init_model_with_state_dict(state, region_embeddings=region_embeddings, **kwargs)

    def _visual_input(self, sentences: list[Sentence]) -> VisualInput | None:
        if self.region_embeddings is None:
            return None
        batch = self.region_embeddings.regions(sentences)
        return VisualInput(batch.regions, batch.present, batch.grid) if batch.count else None

    def _span_tags(self, tags: torch.Tensor) -> torch.Tensor:
        """Typed tag ids to ids over `SPAN_LABELS`."""
        plain = [SPAN_LABELS.index(name[0]) for name in self.tags.names]
        return torch.tensor(plain).to(tags.device, non_blocking=True)[tags]

    def _gold_spans(self, tags: torch.Tensor) -> Spans:
        crf = self.network.tag_crf
        return bio_spans(tags, torch.ones_like(tags, dtype=torch.bool), begin=crf.begin, inside=crf.inside)

    def _entity_regions(self, output: ESPVROutput, spans: Spans, visual: VisualInput | None) -> torch.Tensor:
        """The fields of each entity's own region, (B,M,5); NaN where there is no picture."""
        batch, entities = spans.mask.shape
        if visual is None:
            return output.text.new_full((batch, entities, 5), torch.nan, dtype=torch.float32)
        positions = self.network.position_entities(output, spans, visual)
        regions = picture_regions(positions, grid=visual.grid, window=self.network.window)
        return regions.unflatten(0, (batch, entities))

    def _entities(self, spans: Spans, scores: torch.Tensor, regions: torch.Tensor) -> list[list[Entity]]:
        """What was found, fetched from the device in one piece."""
        fields = torch.stack([spans.mask, spans.start, spans.end, spans.type, scores], dim=-1)  # (B,M,5)
        rows = torch.cat([fields, regions], dim=-1).tolist()
        return [[self._entity(*entity) for exists, *entity in row if exists] for row in rows]

    def _entity(self, start: float, end: float, type_: float, score: float, *region: float) -> Entity:
        support = None if math.isnan(region[0]) else Region(*region)
        return Entity(int(start), int(end), self.tags.types[int(type_)], score, support)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r}: choose one of {', '.join(map(repr, choices))}")
