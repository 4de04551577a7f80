"""Networks with a second task: to find entities without their types, by a CRF of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from flair_espvr.nn.config import ModelConfig, Weight
from flair_espvr.nn.crf.bio_crf import LinearChainCRF
from flair_espvr.nn.network import Network, NetworkOutput


class SpanConfig(ModelConfig):
    """A config with the weight of the second task."""

    span_loss_weight: Weight = 0.5
    """Beta, what the span CRF's loss counts beside the tag CRF's."""


@dataclass(frozen=True)
class SpanOutput(NetworkOutput):
    """What one forward pass gives.

    Attributes:
        span_emissions: (B, T, 3) over `SPAN_LABELS`.
    """

    span_emissions: Tensor


class SpanNetwork(Network[SpanOutput]):
    """Base of the networks whose loss is that of the tags and, weighted, that of a CRF over `SPAN_LABELS`.

    Attributes:
        config: Has the weight.
        span_crf: The CRF over `SPAN_LABELS`.
    """

    config: SpanConfig
    span_crf: LinearChainCRF

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """What the span term counts."""
        return {"spans": self.config.span_loss_weight}

    def losses(self, output: SpanOutput, tags: Tensor) -> dict[str, Tensor]:
        """`"tags"` and `"spans"`: negative log-likelihoods, (B,) each."""
        spans = self.span_crf.loss(output.span_emissions, self.span_tags(tags), output.mask)
        return {**super().losses(output, tags), "spans": spans}
