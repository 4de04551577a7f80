"""The linear-chain CRF against torchcrf's and Flair's.

    python -m benchmarks.speed.crf [--size B T L]

Loss with its backward pass, and decoding, on random emissions with lengths between one half of T and T. What each gives
differs: ours decodes legal BIO2 only; Flair's decoder also gives every word's score; ours gives the posterior of spans,
timed in a row of its own.
"""

import argparse
from collections.abc import Iterator, Sequence

import torch
import torchcrf
from flair.data import Dictionary, Sentence
from flair.models.sequence_tagger_utils import crf as flair_crf
from flair.models.sequence_tagger_utils.viterbi import ViterbiDecoder, ViterbiLoss
from torch import Tensor

from benchmarks.speed.table import Works, compare, print_table
from flair_espvr.nn import LinearChainCRF, bio_spans


def works(batch: int, words: int, labels: int) -> tuple[Works, Works]:
    """Loss and decoding of the three, the plainest first."""
    torch.manual_seed(0)
    types = (labels - 1) // 2
    names = ["O", *(f"{prefix}-{number}" for number in range(types) for prefix in "BI")]
    lengths = torch.randint(words // 2, words + 1, (batch,)).sort(descending=True).values
    lengths[0] = words
    mask = torch.arange(words) < lengths[:, None]
    emissions = torch.randn(batch, words, len(names), requires_grad=True)
    tags = torch.randint(0, types, (batch, words)) * 2 + 1  # begin labels: a legal sequence

    ours, torchs, flairs = LinearChainCRF(names), torchcrf.CRF(len(names), batch_first=True), _Flair(names, lengths)

    def our_decode() -> None:
        ours.decode(emissions, mask)

    def our_posterior() -> None:
        spans = bio_spans(ours.decode(emissions, mask), mask, begin=ours.begin, inside=ours.inside)
        ours.span_probabilities(emissions, mask, spans)

    return (
        {
            "torchcrf": lambda: (-torchs(emissions, tags, mask)).backward(),
            "Flair": lambda: flairs.loss(emissions, tags).backward(),
            "ours": lambda: ours.loss(emissions, tags, mask).sum().backward(),
        },
        {
            "torchcrf": lambda: torchs.decode(emissions, mask),
            "Flair, with scores of words": lambda: flairs.decode(emissions),
            "ours": our_decode,
            "ours, with scores of spans": our_posterior,
        },
    )


class _Flair:
    """Flair's CRF with the START and STOP tags that it wants among the labels."""

    def __init__(self, names: Sequence[str], lengths: Tensor) -> None:
        dictionary = Dictionary(add_unk=False)
        for name in names:
            dictionary.add_item(name)
        dictionary.set_start_stop_tags()
        self.crf = flair_crf.CRF(dictionary, len(dictionary), init_from_state_dict=False)
        self.criterion, self.decoder = ViterbiLoss(dictionary), ViterbiDecoder(dictionary)
        self.lengths = lengths
        self.sentences = [Sentence(["word"] * int(length)) for length in lengths]
        self.padding = torch.zeros(2)

    def _features(self, emissions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        padded = torch.cat([emissions, self.padding.expand(*emissions.shape[:2], 2)], dim=-1)
        return self.crf(padded), self.lengths, self.crf.transitions

    def loss(self, emissions: Tensor, tags: Tensor) -> Tensor:
        gold = torch.cat([row[:length] for row, length in zip(tags, self.lengths.tolist(), strict=True)])
        return self.criterion(self._features(emissions), gold)

    def decode(self, emissions: Tensor) -> None:
        self.decoder.decode(self._features(emissions), False, self.sentences)


def rows(sizes: Sequence[tuple[int, int, int]], rounds: int, threads: Sequence[int]) -> Iterator[str]:
    """Two comparisons a size."""
    for size in sizes:
        name = "{} x {} x {}".format(*size)
        loss, decode = works(*size)
        yield from compare(f"loss and backward, {name}", loss, rounds=rounds, threads=threads)
        yield from compare(f"decode, {name}", decode, rounds=rounds, threads=threads)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, action="append", metavar=("B", "T", "L"))
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    chosen = parser.parse_args(arguments)
    sizes = [tuple(size) for size in chosen.size or ([32, 40, 9], [32, 20, 9], [1, 20, 9])]
    print_table(rows(sizes, chosen.rounds, chosen.threads), unit="ms a batch")


if __name__ == "__main__":
    main()
