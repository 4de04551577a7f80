"""The last used, and no more, in threads too."""

import pickle
from concurrent.futures import ThreadPoolExecutor

from flair_espvr.io.recent import Recent


def test_keeps_what_was_used_last() -> None:
    recent: Recent[str, int] = Recent(2)
    assert recent.put("a", 1)
    assert recent.put("b", 2)
    assert not recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    assert pickle.loads(pickle.dumps(recent)).get("c") == 3


def test_threads() -> None:
    recent: Recent[int, int] = Recent(10)

    def use(number: int) -> None:
        recent.put(number % 20, number)
        assert recent.get(number % 20) in (None, *range(number % 20, 2_000, 20))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(2_000)))
    assert len(recent) == 10
