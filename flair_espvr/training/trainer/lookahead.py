"""Drawing training posts a batch ahead, so that what the next batch needs can be read while this one is learned."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

from flair.data import Sentence
from flair.samplers import FlairSampler
from torch.utils.data import RandomSampler, SequentialSampler


class LookaheadSampler(FlairSampler):
    """The order in which Flair's trainer would draw by itself, told to somebody one batch before it is needed."""

    def __init__(
        self,
        tell: Callable[[Sequence[Sentence]], None],
        sampler: FlairSampler | None,
        *,
        mini_batch_size: int,
        shuffle: bool,
        shuffle_this_epoch: bool,
    ) -> None:
        """Make a sampler for one training.

        Args:
            tell: called with the posts of each batch but the first, when those of the one before are drawn.
            sampler: what the trainer was given; None for its own order.
            mini_batch_size: posts per batch.
            shuffle: whether the trainer's own order is a random one.
            shuffle_this_epoch: whether it is so from the very next epoch on, or from the one after.
        """
        super().__init__()
        self._tell = tell
        self._sampler = sampler
        self._mini_batch_size = mini_batch_size
        self._shuffle = shuffle
        self._shuffle_this_epoch = shuffle_this_epoch

    def set_dataset(self, data_source: Any) -> None:
        """Take note of the training, before the first epoch."""
        super().set_dataset(data_source)
        if self._sampler is not None:
            self._sampler.set_dataset(data_source)

    def __len__(self) -> int:
        """Return the number of posts in an epoch."""
        return self.num_samples if self._sampler is None else len(self._sampler)

    def __iter__(self) -> Iterator[int]:
        """Yield the places of an epoch's posts."""
        drawn = iter(self._order())
        batch = list(islice(drawn, self._mini_batch_size))
        while batch:
            following = list(islice(drawn, self._mini_batch_size))
            if following:
                self._tell([self.data_source[place] for place in following])
            yield from batch
            batch = following

    def _order(self) -> Iterable[int]:
        if self._sampler is not None:
            return cast(Iterable[int], self._sampler)
        shuffled = self._shuffle and self._shuffle_this_epoch
        self._shuffle_this_epoch = True
        return RandomSampler(self.data_source) if shuffled else SequentialSampler(self.data_source)
