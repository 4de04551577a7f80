"""Single posts of many threads, joined into shared forward passes (dynamic batching)."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from types import TracebackType
from typing import Any

from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr.errors import ConfigurationError


class DynamicBatcher:
    """Tag posts that arrive one at a time, from any number of threads, in batches.

    What waits while a forward pass runs is in the next one. Each post gets the labels it would have had alone, up to
    the rounding of padded batches, and is never the context of another. All passes run in one thread of the batcher's,
    so the tagger itself need not be safe to call from several.

        with DynamicBatcher(tagger) as batcher:
            batcher.predict(sentence)  # in any thread

    A process that was forked off has no such thread: make one batcher in each process.

    Args:
        tagger: any Flair model that labels spans.
        max_batch_size: posts per forward pass.
        max_wait: seconds for which a pass waits to be filled, after the last one had more than one post. A post that
            comes alone never waits.
        predict_options: further arguments of the tagger's `predict`, such as `label_name` or `amp`.

    Raises:
        ConfigurationError: `max_batch_size` is below 1, or `max_wait` below 0.
    """

    def __init__(
        self, tagger: Classifier[Sentence], *, max_batch_size: int = 32, max_wait: float = 0.002, **predict_options: Any
    ) -> None:
        if max_batch_size < 1:
            raise ConfigurationError(f"max_batch_size={max_batch_size}: should be 1 or more")
        if not max_wait >= 0:
            raise ConfigurationError(f"max_wait={max_wait}: should be 0 or more seconds")
        self._tagger = tagger
        self._max_batch_size = max_batch_size
        self._max_wait = max_wait
        self._options = predict_options
        self._joined = False
        self._waiting: deque[tuple[Sentence, Future[Sentence]]] = deque()
        self._arrival = Condition()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="flair-espvr-batcher")

    def submit(self, sentence: Sentence) -> "Future[Sentence]":
        """Have a post tagged; the future's result is the sentence itself, with its labels.

        Cancelling the future takes the post out, as long as no pass has begun on it.

        Raises:
            RuntimeError: the batcher was closed.
        """
        future: Future[Sentence] = Future()
        with self._arrival:
            # A task for each post: whichever runs first takes all that wait. None is accepted after the executor's
            # shutdown, and all accepted before are run, so a post that is waiting is never left behind.
            self._worker.submit(self._run_batch)
            self._waiting.append((sentence, future))
            self._arrival.notify()
        return future

    def predict(self, sentence: Sentence) -> None:
        """Tag a post, as the tagger's own `predict` would, and return when its labels are there.

        Raises:
            RuntimeError: the batcher was closed.
            Exception: whatever the tagger raises for this post; others of its batch are not affected.
        """
        self.submit(sentence).result()

    def close(self) -> None:
        """Accept no more posts, and return when those accepted are done. More calls do nothing."""
        self._worker.shutdown(wait=True)

    def __enter__(self) -> "DynamicBatcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run_batch(self) -> None:
        batch = [(sentence, future) for sentence, future in self._taken() if future.set_running_or_notify_cancel()]
        if not batch:
            return
        errors = [self._failure([sentence for sentence, _ in batch])]
        if errors[0] is None:
            errors *= len(batch)
        elif len(batch) > 1:  # one by one, so that only the post that fails has an error
            errors = [self._failure([sentence]) for sentence, _ in batch]
        for (sentence, future), error in zip(batch, errors, strict=True):
            if error is None:
                future.set_result(sentence)
            else:
                future.set_exception(error)

    def _taken(self) -> list[tuple[Sentence, "Future[Sentence]"]]:
        """Return the next batch, out of the queue; empty where an earlier task has taken all."""
        with self._arrival:
            if self._joined and self._waiting:
                deadline = time.monotonic() + self._max_wait
                while len(self._waiting) < self._max_batch_size and (left := deadline - time.monotonic()) > 0:
                    self._arrival.wait(left)
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch_size))]
        if taken:
            self._joined = len(taken) > 1
        return taken

    def _failure(self, sentences: list[Sentence]) -> BaseException | None:
        """Tag the posts, and return what went wrong: some caller waits for an answer, whatever it is."""
        try:
            for sentence in sentences:
                Sentence.set_context_for_sentences([sentence])  # else its neighbours in the batch would be its context
            self._tagger.predict(sentences, mini_batch_size=self._max_batch_size, **self._options)
        except BaseException as error:
            return error
        return None
