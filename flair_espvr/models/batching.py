"""Batches of like lengths: what is padded is computed too."""

from collections.abc import Iterator, Sequence

from flair.data import Sentence
from flair.embeddings import TokenEmbeddings
from torch.utils.data import Dataset

from flair_espvr.data.metadata import sentence_images
from flair_espvr.embeddings.text.word_vectors import BatchEmbeddings, panics_explained
from flair_espvr.errors import ConfigurationError
from flair_espvr.flair_compat import iter_dataset

LONG = 512
"""What most encoders read at once. A batch with something longer holds fewer, so that its size with padding, and with
it the memory, stays that of a full batch of this length."""

WINDOW_BATCHES = 16
"""Batches whose posts are sorted together where posts come in a stream."""


def batches_by_length(
    lengths: Sequence[int],
    *,
    mini_batch_size: int,
    max_tokens: int | None = None,
    pictures: Sequence[int] | None = None,
) -> Iterator[list[int]]:
    """Batches of places in `lengths`, longest first; equals stay in order.

    Args:
        lengths: what each item is padded by.
        mini_batch_size: items per batch, fewer where one is longer than `LONG` or has several pictures.
        max_tokens: in place of `mini_batch_size`, the most that a batch may hold with its padding. An item that is
            longer by itself makes a batch of its own.
        pictures: how many each item has, one by default. Those with most come first; a batch has items with equally
            many, and by as much fewer of them, so that its regions are not more than those of a full one.

    Raises:
        ConfigurationError: a size below 1, which no batch could have.
    """
    if mini_batch_size < 1 or (max_tokens is not None and max_tokens < 1):
        raise ConfigurationError(f"{mini_batch_size=}, {max_tokens=}: batches hold 1 item or wordpiece, or more")
    most, budget = (mini_batch_size, mini_batch_size * LONG) if max_tokens is None else (len(lengths), max_tokens)
    counts = pictures or [1] * len(lengths)
    for count in sorted(set(counts), reverse=True):
        alike = (place for place in range(len(lengths)) if counts[place] == count)
        order = sorted(alike, key=lambda place: lengths[place], reverse=True)
        start = 0
        while start < len(order):
            size = max(1, min(most // count, budget // lengths[order[start]]))
            yield order[start : start + size]
            start += size


def sentence_batches(
    sentences: list[Sentence] | Sentence | Dataset[Sentence],
    embeddings: TokenEmbeddings,
    *,
    mini_batch_size: int,
    max_tokens: int | None = None,
) -> list[list[Sentence]]:
    """Return the sentences that have words, in batches of like lengths and equally many pictures.

    Each sentence knows its neighbours of before.

    Args:
        sentences: One, a list or a dataset.
        embeddings: What will read them, and says how long its inputs are where it reads more than the words.
        mini_batch_size: See `batches_by_length`.
        max_tokens: See `batches_by_length`; of wordpieces where the embeddings have such, else of words.
    """
    if isinstance(sentences, Sentence):
        sentences = [sentences]
    elif isinstance(sentences, Dataset):
        sentences = list(iter_dataset(sentences))
    Sentence.set_context_for_sentences(sentences)
    sentences = [sentence for sentence in sentences if len(sentence) > 0]
    lengths = [len(sentence) for sentence in sentences]
    pictures = [max(1, len(sentence_images(sentence))) for sentence in sentences]
    fits = len(sentences) * max(pictures, default=1) <= mini_batch_size and max(lengths, default=0) <= LONG
    if max_tokens is None and fits:
        return [sentences] if sentences else []
    if isinstance(embeddings, BatchEmbeddings):
        # The encoder cuts what is too long for it; the layers after it read every word.
        with panics_explained():
            lengths = list(map(max, embeddings.input_lengths(sentences), lengths))
    places = batches_by_length(lengths, mini_batch_size=mini_batch_size, max_tokens=max_tokens, pictures=pictures)
    return [[sentences[place] for place in batch] for batch in places]
