"""A conditional random field over BIO2 labels that cannot give an illegal sequence (paper 3.3 and 3.5, Eq. 9)."""

import math
from collections.abc import Sequence

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torchcrf import CRF

from flair_espvr.nn.crf.linear_chain import PosteriorChain, best_path, log_likelihood, posterior_chain
from flair_espvr.nn.layers.spans import Spans

_TEMPERATURES = (0.25, 4.0)
"""Least and greatest that is ever fitted: beyond, a few posts would make all scores 0 or 1, or all the same."""


class LinearChainCRF(torch.nn.Module):
    """pytorch-crf's parameters with the illegal transitions of BIO2 at minus infinity, in loss, decoding and posterior.

    O -> I-X, B-X -> I-Y, I-X -> I-Y and I-X at the start have no probability, whatever the emissions: the loss is that
    of a distribution over legal sequences only, and decoding gives nothing else. All is computed in float32, also
    under autocast. In every method `emissions` is (B, T, L) and `mask` (B, T) bool, present words first and at least
    one in each sentence.

    Args:
        labels: The L labels in the order of their ids: "O", and "B-X" and "I-X" for each type X (or bare "B" and "I").

    Attributes:
        types: Names of the K types, in the order of their begin labels; "" for bare labels.
        outside: Id of "O".
        begin: Ids of the begin labels, (K,) long.
        inside: Ids of the inside labels, (K,) long.
        temperature: What all scores are divided by where posteriors are computed; loss and decoding do not know it.

    Raises:
        ValueError: If the labels are not such a set.
    """

    begin: Tensor
    inside: Tensor
    _illegal: Tensor
    _illegal_start: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        ids = _label_ids(labels)
        self.types = tuple(name for prefix, name in ids if prefix == "B")
        self.outside = ids["O", ""]
        begin = torch.tensor([ids["B", name] for name in self.types], dtype=torch.long)
        inside = torch.tensor([ids["I", name] for name in self.types], dtype=torch.long)
        # I-X follows B-X or I-X and nothing else; every other label follows any.
        illegal = torch.zeros(len(labels), len(labels), dtype=torch.bool)
        illegal[:, inside] = True
        illegal[begin, inside] = illegal[inside, inside] = False
        illegal_start = torch.zeros(len(labels), dtype=torch.bool)
        illegal_start[inside] = True

        self.temperature = 1.0
        self.crf = CRF(len(labels), batch_first=True)
        for name, constant in (
            ("begin", begin),
            ("inside", inside),
            ("_illegal", illegal),
            ("_illegal_start", illegal_start),
        ):
            self.register_buffer(name, constant, persistent=False)

    def loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of `tags` (B, T) long, which must be legal BIO2, for each sentence: (B,)."""
        return self._loss(emissions, tags, mask, self._chain())

    @torch.no_grad()
    def fit_temperature(self, batches: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Set the temperature at which gold tags are most probable, for posteriors neither too sure nor too unsure.

        Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017), of whole sentences.

        Args:
            batches: Emissions, gold tags and masks, as for `loss`, of sentences that the weights were not fitted to.
        """

        def loss(logarithm: float) -> float:
            temperature = math.exp(logarithm)
            chain = self._cooled_chain(temperature)
            losses = [
                self._loss(emissions.float() / temperature, tags, mask, chain) for emissions, tags, mask in batches
            ]
            return float(torch.cat(losses).sum())

        # The loss is convex in the reciprocal, so that it has one minimum in the logarithm too.
        bounds = [math.log(temperature) for temperature in _TEMPERATURES]
        self.temperature = math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the most probable tags, (B, T) long; the id of "O" where masked."""
        with torch.autocast(emissions.device.type, enabled=False):
            return best_path(_clean(emissions, mask), mask, *self._chain()).masked_fill(~mask, self.outside)

    def label_probabilities(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Posterior probability of each label of each word, (B, T, L); zero where masked. Carries no gradient."""
        return self._posterior(emissions, mask).marginals.masked_fill(~mask.unsqueeze(-1), 0.0)

    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """As `label_probabilities` at the temperature 1, (B, T, L), with gradients for emissions and transitions."""
        with torch.autocast(emissions.device.type, enabled=False):
            posterior = posterior_chain(_clean(emissions, mask), mask, *self._chain())
        return posterior.marginals.masked_fill(~mask.unsqueeze(-1), 0.0)

    @torch.no_grad()
    def span_probabilities(self, emissions: Tensor, mask: Tensor, spans: Spans) -> Tensor:
        """Posterior probability that exactly this typed span is tagged: neither shorter, nor longer, nor split.

        P(y_start = B-X), times that of I-X at each later word of the span, times that of no I-X after it.

        Args:
            spans: Spans within these sentences, as `bio_spans` reads them with `self.begin` and `self.inside`.

        Returns:
            Probabilities (B, M), zero where a span is masked. They carry no gradient.
        """
        if spans.mask.shape[1] == 0:
            return emissions.new_zeros(spans.mask.shape, dtype=torch.float32)
        posterior = self._posterior(emissions, mask)
        type_index = spans.type.unsqueeze(-1)  # (B, M, 1)
        position = torch.arange(emissions.shape[1], device=emissions.device)
        start, end = spans.start.unsqueeze(-1), spans.end.unsqueeze(-1)

        def of_type(values: Tensor) -> Tensor:  # (B, T, K) -> (B, M, T)
            return torch.take_along_dim(values.transpose(1, 2), type_index, dim=1)

        begins = of_type(posterior.marginals[..., self.begin])
        after_begin = of_type(posterior.steps[..., self.begin, self.inside])
        after_inside = of_type(posterior.steps[..., self.inside, self.inside])
        # log P(the word is I-X | the span has held up to it), (B, M, T)
        held = torch.where(position == start + 1, after_begin, after_inside)

        begun = torch.where(position == start, begins, 0.0).sum(dim=-1)  # (B, M)
        continued = torch.where((position > start) & (position < end), held, 0.0).sum(dim=-1).exp()
        overrun = torch.where((position == end) & mask.unsqueeze(1), held.exp(), 0.0).sum(dim=-1)
        probability = begun * continued * (1.0 - overrun)
        return probability.clamp(0.0, 1.0).masked_fill(~spans.mask, 0.0)

    @torch.no_grad()
    def _posterior(self, emissions: Tensor, mask: Tensor) -> PosteriorChain:
        with torch.autocast(emissions.device.type, enabled=False):
            cooled = _clean(emissions, mask) / self.temperature
            return posterior_chain(cooled, mask, *self._cooled_chain(self.temperature))

    def _loss(self, emissions: Tensor, tags: Tensor, mask: Tensor, chain: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        tags = tags.masked_fill(~mask, self.outside)  # "O" follows any label: no masked step is minus infinity
        with torch.autocast(emissions.device.type, enabled=False):
            return -log_likelihood(_clean(emissions, mask), tags, mask, *chain)

    def _cooled_chain(self, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        transitions, start, end = self._chain()
        return transitions / temperature, start / temperature, end / temperature

    def _chain(self) -> tuple[Tensor, Tensor, Tensor]:
        """Transitions (L, L), start (L,) and end (L,) scores, what is illegal at minus infinity."""
        return (
            self.crf.transitions.masked_fill(self._illegal, -torch.inf),
            self.crf.start_transitions.masked_fill(self._illegal_start, -torch.inf),
            self.crf.end_transitions,
        )


def _clean(emissions: Tensor, mask: Tensor) -> Tensor:
    """Emissions as float32 with zeros in the padding."""
    return emissions.float().masked_fill(~mask.unsqueeze(-1), 0.0)


def _label_ids(labels: Sequence[str]) -> dict[tuple[str, str], int]:
    """Ids by (prefix, type); a type may hold dashes itself."""
    ids: dict[tuple[str, str], int] = {}
    for index, label in enumerate(labels):
        prefix, dash, name = label.partition("-")
        if (prefix not in ("B", "I") or (dash and not name)) and label != "O":
            raise ValueError(f'"{label}" is not a BIO2 label: expected "O", "B-<type>", "I-<type>", "B" or "I".')
        if (prefix, name) in ids:
            raise ValueError(f'Label "{label}" is given twice.')
        ids[prefix, name] = index
    if ("O", "") not in ids:
        raise ValueError(f'BIO2 labels need "O", but there are only {list(labels)}.')
    types = {name for prefix, name in ids if prefix != "O"}
    for prefix in ("B", "I"):
        missing = sorted(types - {name for other, name in ids if other == prefix})
        if missing:
            raise ValueError(f'BIO2 labels need "B" and "I" of each type, but "{prefix}" is missing for {missing}.')
    return ids
