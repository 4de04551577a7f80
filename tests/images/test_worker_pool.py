"""Items are Python expressions and the function is `eval`: a worker can import it, and it could not import tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flair_espvr.images.worker_pool import WorkerPool

DIE = "__import__('os')._exit(9)"


def died(item: str) -> str:
    return "died"


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order(workers):
    with WorkerPool(workers) as pool:
        for size in (0, 1, 100):
            items = [f"{number} ** 2" for number in range(size)]
            assert list(pool.map(eval, items, crashed=died)) == [(item, n * n) for n, item in enumerate(items)]


def test_items_that_kill_their_worker_cost_nothing_else():
    items = [str(number) for number in range(60)]
    expected: list[object] = list(range(60))
    for place in (0, 9, 10, 31, 59):
        items[place], expected[place] = DIE, "died"
    with WorkerPool(2) as pool:
        assert [result for _, result in pool.map(eval, items, crashed=died)] == expected


def test_a_worker_killed_from_outside_costs_nothing():
    items = ["__import__('os').getpid()"] + [str(number) for number in range(100)]
    with WorkerPool(1) as pool:
        results = pool.map(eval, items, crashed=died)
        _, worker = next(results)
        os.kill(worker, 9)
        assert [result for _, result in results] == list(range(100))


def test_errors_of_the_function_come_out():
    with WorkerPool(1) as pool, pytest.raises(ZeroDivisionError):
        list(pool.map(eval, ["1 / 0"], crashed=died))


def test_items_are_read_only_a_little_ahead():
    taken = []
    with WorkerPool(1) as pool:
        results = pool.map(eval, (taken.append(n) or str(n) for n in range(10_000)), crashed=died)
        next(results)
        assert len(taken) < 100


PARENT = """
from flair_espvr.images.worker_pool import WorkerPool
items = ["__import__('os').getpid()"] + ["0"] * 7 + ["__import__('signal').pause()"]
with WorkerPool(1) as pool:
    for _, result in pool.map(eval, items, crashed=str):
        print(result, flush=True)
"""


def test_workers_end_with_a_parent_that_was_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert running(worker)
        parent.kill()
    while running(worker):
        os.sched_yield()


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
