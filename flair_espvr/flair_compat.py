"""The private parts of Flair that this package uses, each with the reason: a new Flair should break nothing else.

Hooks that Flair calls by name have to stay where they are overridden: `_get_state_dict` and
`_init_model_with_state_dict` in taggers, `_add_embeddings_internal` in embeddings, `_save_model` in the trainer.
`tests/test_flair_compat.py` tests what is taken for granted of all of these.
"""

import inspect
import logging
from collections.abc import Iterable
from typing import Any

import torch
from flair.data import Sentence, Token, _iter_dataset
from flair.embeddings import TransformerEmbeddings
from flair.file_utils import Tqdm
from flair.trainers import ModelTrainer
from torch.utils.data import Dataset
from tqdm import tqdm


def iter_dataset(dataset: Dataset[Sentence] | None) -> Iterable[Sentence]:
    """Return a data set's sentences, read as Flair's models read them.

    There are none for None. The public loader gives lists of one.
    """
    sentences: Iterable[Sentence] = _iter_dataset(dataset)
    return sentences


def hide_progress_bars() -> None:
    """Show no bar of Flair's own from now on: they bear no name, and it has no switch for them."""

    def hidden(*arguments: Any, **options: Any) -> tqdm:
        return tqdm(*arguments, **{**options, "disable": True})

    Tqdm.tqdm = staticmethod(hidden)


def keep_off_terminal() -> None:
    """Keep Flair's log lines and bars off the terminal of this process; files of a run still get the lines."""
    hide_progress_bars()
    for handler in logging.getLogger("flair").handlers:
        handler.setLevel(logging.WARNING)


def remove_metadata(sentence: Sentence, key: str) -> None:
    """Take metadata off a sentence, if it has such; Flair can only add and read it."""
    if sentence.has_metadata(key):
        del sentence._metadata[key]


def expand_with_context(embeddings: TransformerEmbeddings, sentence: Sentence) -> tuple[list[Token], int]:
    """Return the tokens that an encoder reads for a sentence, Flair's context included, and where its own begin.

    Captions have to be put behind the very tokens that Flair's own embeddings would read, dropout of context included.
    """
    expanded: tuple[list[Token], int] = embeddings._expand_sentence_with_context(sentence)
    return expanded


def current_grad_scaler() -> torch.amp.GradScaler:
    """Return the scaler of the Flair training that this call is made from; disabled where that scales nothing.

    To be called from a plugin's hook. Flair hands its scaler to nobody: it is a local variable of `train_custom`, so it
    is looked up there.

    Raises:
        RuntimeError: no `ModelTrainer` is training further up the stack.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is inspect.unwrap(ModelTrainer.train_custom).__code__:
            return frame.f_locals["scaler"]
        frame = frame.f_back
    raise RuntimeError("only a hook of a running Flair training can ask for its gradient scaler")
