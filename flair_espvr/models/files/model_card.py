"""The page that a published model is shown with: what it was trained on, how well it does, and where it fails."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from flair_espvr.errors import ConfigurationError

FACTS = "facts"
"""Key of a tagger's `model_card` under which its facts are kept in its files."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a reader has to know before using a model.

    Attributes:
        dataset: name of the data, e.g. `"Twitter-2017"`.
        edition: which edition of it (`corpus.edition`); scores on another one do not compare.
        scores: means over the seeds by metric, 0..1, e.g. `{"f1": 0.836, "precision": 0.84}`; test posts.
        seeds: of the runs that the scores are from.
        limits: what the model is not good for, in a sentence or more.
        language: ISO 639 code of the posts.
        license: identifier on the hub, e.g. `"mit"`; of the weights, which the data's own terms may restrict.
    """

    dataset: str
    edition: str
    scores: Mapping[str, float]
    seeds: tuple[int, ...]
    limits: str
    language: str
    license: str

    @classmethod
    def from_plain(cls, content: Any) -> "ModelFacts":
        """Return the facts that `to_plain` wrote.

        Raises:
            ConfigurationError: they are incomplete.
        """
        try:
            return cls(**{**content, "seeds": tuple(content["seeds"]), "scores": dict(content["scores"])})
        except (TypeError, KeyError, ValueError) as error:
            raise ConfigurationError(f"the facts in the tagger's model card are not complete ({error})") from error

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for the tagger's own model card."""
        return {**asdict(self), "scores": dict(self.scores), "seeds": list(self.seeds)}


def model_card(facts: ModelFacts, *, name: str, types: list[str], reads_images: bool) -> ModelCard:
    """Return the hub's model card: metadata in YAML, then text.

    Args:
        facts: about the model.
        name: `org/name` on the hub.
        types: the entity types that it knows.
        reads_images: whether it looks at pictures, or at text and captions only.
    """
    results = [
        EvalResult(
            task_type="token-classification",
            task_name="Multimodal named entity recognition",
            dataset_type=facts.dataset.lower(),
            dataset_name=f"{facts.dataset} ({facts.edition})",
            metric_type=metric,
            metric_value=value,
        )
        for metric, value in facts.scores.items()
    ]
    metadata = ModelCardData(
        language=facts.language,
        license=facts.license,
        library_name="flair",
        pipeline_tag="token-classification",
        tags=["flair", "flair-espvr", "named-entity-recognition", "multimodal"],
        datasets=[facts.dataset.lower()],
        metrics=list(facts.scores),
        model_name=name,
        eval_results=results,
    )
    reads = "a post and its picture" if reads_images else "a post and the caption of its picture"
    table = "\n".join(f"| {metric} | {100 * value:.2f} |" for metric, value in facts.scores.items())
    seeds = ", ".join(map(str, facts.seeds))
    return ModelCard(
        f"""---
{metadata.to_yaml()}
---

# {name}

Finds entities of the types {", ".join(types)} in {reads}, with [flair-espvr](https://pypi.org/project/flair-espvr/).

```python
from flair.data import Sentence
from flair_espvr import MultimodalTagger

tagger = MultimodalTagger.from_pretrained("{name}")  # runs no code from the hub
sentence = Sentence("Kevin Durant enters Oracle Arena")
sentence.add_metadata("image", "durant.jpg")
tagger.predict(sentence)
```

## Data and scores

{facts.dataset}, edition: {facts.edition}. Test posts, seeds {seeds} (the mean, where there are several):

| metric | % |
|---|---|
{table}

## Limits

{facts.limits}
"""
    )
