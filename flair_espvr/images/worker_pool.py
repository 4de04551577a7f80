"""Work on many files in processes of their own: a file that kills its process costs that file, not the run."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from types import TracebackType
from typing import TypeVar

from flair_espvr.io.parent_process import end_with_parent

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_CHUNK = 8
"""Items per message to a worker."""

_CHUNKS_AHEAD = 3
"""Messages waiting for each worker: enough to keep it busy, few enough to bound memory."""


class WorkerPool:
    """Worker processes that are replaced when one dies. A context manager; without workers it works in this process."""

    def __init__(self, workers: int) -> None:
        """Keep the settings; nothing is started yet.

        Args:
            workers: number of processes; 0 to work in this one, where nothing protects it.
        """
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def map(
        self,
        function: Callable[[_Item], _Result],
        items: Iterable[_Item],
        *,
        crashed: Callable[[_Item], _Result],
    ) -> Iterator[tuple[_Item, _Result]]:
        """Each item with `function(item)`, in order; `items` is read a little ahead of what is yielded.

        Args:
            function: a picklable function.
            items: its picklable arguments.
            crashed: gives the result of an item that killed its process twice, the second time when alone there.
        """
        items = iter(items)
        if not self._workers:
            yield from ((item, function(item)) for item in items)
            return
        waiting: deque[tuple[list[_Item], Future[list[_Result]]]] = deque()
        while True:
            while len(waiting) < _CHUNKS_AHEAD * self._workers and (chunk := list(islice(items, _CHUNK))):
                waiting.append((chunk, self._submit(function, chunk)))
            if not waiting:
                return
            chunk, future = waiting.popleft()
            try:
                results = future.result()
            except BrokenProcessPool:
                # A dead worker takes the whole pool along, and nothing tells whose item it was. The oldest chunk is
                # tried item by item; if it was another's, the pool breaks again, until that one is the oldest.
                results = [self._alone(function, item, crashed) for item in chunk]
                waiting = deque(
                    (later, pending if _succeeded(pending) else self._submit(function, later))
                    for later, pending in waiting
                )
            yield from zip(chunk, results, strict=True)

    def close(self) -> None:
        """End the workers; work not begun is dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, function: Callable[[_Item], _Result], chunk: Sequence[_Item]) -> "Future[list[_Result]]":
        if self._executor is None:
            self._executor = _executor(self._workers)
        try:
            return self._executor.submit(_all, function, chunk)
        except BrokenProcessPool:
            self.close()
            return self._submit(function, chunk)

    def _alone(self, function: Callable[[_Item], _Result], item: _Item, crashed: Callable[[_Item], _Result]) -> _Result:
        with _executor(1) as executor:
            try:
                return executor.submit(function, item).result()
            except BrokenProcessPool:
                return crashed(item)


def _executor(workers: int) -> ProcessPoolExecutor:
    # Not "fork": this process may run threads and hold a GPU. Not "spawn": every worker would import all modules anew.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["flair_espvr.images.loading"])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    end_with_parent()


def _all(function: Callable[[_Item], _Result], chunk: Sequence[_Item]) -> list[_Result]:
    return [function(item) for item in chunk]


def _succeeded(future: "Future[list[_Result]]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
