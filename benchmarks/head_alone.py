"""The grounding head by itself, on gold entities and word vectors that do not learn: what it could do, in minutes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from flair.data import Sentence
from torch import Tensor

from benchmarks.grounded_posts import LABEL
from flair_espvr import CaptionedTransformerEmbeddings, ImageRegionEmbeddings
from flair_espvr.models.gold_regions import gold_regions
from flair_espvr.models.prediction import add_labels, predicted_entities
from flair_espvr.nn.features import ImageFeatures
from flair_espvr.nn.grounding.fitting import KnownPlaces, fit_calibration
from flair_espvr.nn.grounding.head import GroundingHead
from flair_espvr.nn.grounding.reading import Evidence
from flair_espvr.nn.grounding.tensors import GoldRegions, Mentions
from flair_espvr.nn.layers.spans import span_features


class HeadAlone:
    """A grounding head and what it reads; of each post all gold entities have to say where they are.

    Args:
        embeddings: of the words; they are computed once a post.
        regions: of the pictures; they are read once a post.
        types: all types of entities.
    """

    def __init__(
        self, embeddings: CaptionedTransformerEmbeddings, regions: ImageRegionEmbeddings, types: Sequence[str]
    ) -> None:
        self._embeddings = embeddings
        self._regions = regions
        self._types = list(types)
        self._words: dict[int, Tensor] = {}
        self._pictures: dict[int, Tensor] = {}
        self.head = GroundingHead(
            word_size=embeddings.embedding_length, region_size=regions.embedding_length, labels=len(types)
        )

    def fit(
        self, sentences: Sequence[Sentence], *, epochs: int, batch_size: int = 16, learning_rate: float = 1e-3
    ) -> None:
        """Train with AdamW, whose learning rate falls to 0, on posts in a new order each epoch."""
        optimizer = torch.optim.AdamW(self.head.parameters(), lr=learning_rate)
        steps = epochs * -(-len(sentences) // batch_size)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
        self.head.train()
        for _ in range(epochs):
            order = torch.randperm(len(sentences)).tolist()
            for mentions, images, gold, _ in self._batches([sentences[place] for place in order], batch_size):
                loss = torch.stack([term.sum() for term in self.head.losses(mentions, images, gold).values()]).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        self.head.eval()

    @torch.no_grad()
    def calibrate(self, sentences: Sequence[Sentence]) -> None:
        """Fit how evidence is read, as a tagger's `calibrate` does."""
        known = []
        for mentions, images, gold, _ in self._batches(sentences):
            evidence, there = self.head.evidence(mentions, images), gold.spans.mask
            assert evidence is not None
            assert evidence.presence is not None
            seen = Evidence(evidence.logits[there], evidence.presence[there], evidence.grid)
            known.append(KnownPlaces(seen, gold.boxes[there], gold.mask[there]))
        self.head.calibration = fit_calibration(known)

    @torch.no_grad()
    def predict(self, sentences: Sequence[Sentence], *, label_name: str) -> None:
        """Leave the gold entities on the sentences under another name, with regions of the head's."""
        for mentions, images, gold, batch in self._batches(sentences):
            spans = replace(gold.spans, type=mentions.types.argmax(dim=2))
            found = predicted_entities(
                spans,
                torch.ones(spans.mask.shape),
                self._types,
                grounding=self.head.answer(mentions, images),
                pictured=images.present,
            )
            for sentence, entities in zip(batch, found, strict=True):
                add_labels(sentence, entities, label_name)

    def _batches(
        self, sentences: Sequence[Sentence], batch_size: int = 16
    ) -> Iterator[tuple[Mentions, ImageFeatures, GoldRegions, list[Sentence]]]:
        """Batches of those sentences that name something."""
        named = [sentence for sentence in sentences if sentence.get_spans(LABEL)]
        for start in range(0, len(named), batch_size):
            batch = named[start : start + batch_size]
            gold = gold_regions(batch, LABEL)
            assert gold is not None
            types = torch.zeros(*gold.spans.mask.shape, len(self._types))
            for row, sentence in enumerate(batch):
                for place, span in enumerate(sentence.get_spans(LABEL)):
                    types[row, place, self._types.index(span.tag)] = 1.0
            yield (
                Mentions(span_features(self._vectors(batch), gold.spans), types),
                self._images(batch),
                gold,
                batch,
            )

    def _images(self, sentences: list[Sentence]) -> ImageFeatures:
        """Return the pictures of a batch, which all posts have."""
        if new := [sentence for sentence in sentences if id(sentence) not in self._pictures]:
            images = self._regions.regions(new)
            for sentence, pooled, regions in zip(new, images.pooled, images.regions, strict=True):
                self._pictures[id(sentence)] = torch.cat([pooled.unsqueeze(0), regions]).half()
        rows = torch.stack([self._pictures[id(sentence)] for sentence in sentences]).float()  # (B, 1 + R, Dv)
        present = torch.ones(len(sentences), dtype=torch.bool)
        return ImageFeatures(rows[:, 1:], rows[:, 0], present, self._regions.grid, count=len(sentences))

    def _vectors(self, sentences: list[Sentence]) -> Tensor:
        """Return the word vectors of a batch, (B, T, De)."""
        new = [sentence for sentence in sentences if id(sentence) not in self._words]
        if new:
            with torch.no_grad():
                vectors = self._embeddings.embed_batch(new)
            for sentence, rows in zip(new, vectors, strict=True):
                self._words[id(sentence)] = rows[: len(sentence)].clone()
        words = [self._words[id(sentence)] for sentence in sentences]
        return torch.nn.utils.rnn.pad_sequence(words, batch_first=True)
