"""The Ray back-end: against one process, with a worker killed on the way, and its book-keeping without Ray."""

import argparse
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tqdm import tqdm

from flair_espvr import ESPVRTagger
from flair_espvr.commands import predict
from flair_espvr.errors import ClusterError, ConfigurationError
from flair_espvr.tagging.backends import ray as backend
from flair_espvr.tagging.backends.ray import _on_workers, on_cluster, tag_on_cluster
from flair_espvr.tagging.block_tagger import WINDOWS, TaggingJob
from flair_espvr.tagging.blocks import Block, Piece
from flair_espvr.tagging.raw_posts import Place
from flair_espvr.tagging.shards import Shards, Totals


@pytest.fixture
def job(build: Callable[..., ESPVRTagger], pictures: list[Path], tmp_path: Path) -> TaggingJob:
    tagger = build()
    tagger.network.tag_emissions.bias.data[1] += 2.0
    tagger.save(tmp_path / "model.pt")
    words = ["kevin", "mary", "oakland", "plays", "in", "new", "york", "sings", "we"]
    names = [*(picture.name for picture in pictures), "gone.png"]
    lines = [
        f'{{"id": {n}, "text": "{" ".join(words[n % 9 :] + words[: n % 7])}", "image": "{names[n % 5]}"}}\n'
        for n in range(600)
    ]
    lines[100:100] = ["no post\n"]
    posts = pictures[0].parent / "posts.jsonl"
    posts.write_text("".join(lines))
    return TaggingJob(
        tmp_path / "model.pt", (str(posts),), tmp_path / "out", batch_size=2, windows=1, keep_bad=True, device="cpu"
    )


def workers_that_tag() -> list[int]:
    """The processes of our cluster that Ray has given the name of the method that they are in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_tagging = (process / "cmdline").read_bytes().startswith(b"ray::BlockTagger.tag")
            if is_tagging and parent(parent(int(process.name))) == os.getpid():
                found.append(int(process.name))
    return found


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_same_as_one_process_with_a_worker_killed_on_the_way(ray: Any, job: TaggingJob, tmp_path: Path) -> None:
    killed: list[int] = []
    is_over = threading.Event()

    def kill_one() -> None:
        while not killed and not is_over.wait(0.01):
            if list((job.out / "shards").glob("*.jsonl")) and (workers := workers_that_tag()):
                os.kill(workers[0], signal.SIGKILL)
                killed.append(workers[0])

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        totals = tag_on_cluster(job, workers=2, progress=False)
    finally:
        is_over.set()
        killer.join()
    assert killed
    shards = sorted((job.out / "shards").iterdir())
    assert len(shards) == 19

    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    bad_files = ["--bad-posts", tmp_path / "bad", "--bad-list", tmp_path / "list"]
    command = [job.model, *job.inputs, "--batch-size", 2, *bad_files, "--out", tmp_path / "one.jsonl", "--quiet"]
    assert predict.run(parser.parse_args([str(argument) for argument in command])) == 3
    one = (tmp_path / "one.jsonl").read_bytes()
    assert b"".join(shard.read_bytes() for shard in shards) == one
    assert (totals.posts, totals.images) == (600, 600)
    bad = [(tmp_path / name).read_bytes() for name in ("bad", "list")]
    assert [b"".join(totals.bad_posts.lines()), b"".join(totals.bad_images.lines())] == bad

    # Everything is there: nothing is left to do but to count.
    again = tag_on_cluster(job, workers=2, progress=False)
    assert (again.posts, again.entities, len(again.bad_posts)) == (totals.posts, totals.entities, 1)
    assert sorted((job.out / "shards").iterdir()) == shards


def test_the_bar_knows_how_many_posts_there_are_and_what_was_done_before(
    job: TaggingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Any] = []

    def bar(**options: Any) -> Any:
        bars.append(tqdm(**options))
        return bars[-1]

    monkeypatch.setattr(backend, "tqdm", bar)
    monkeypatch.setattr(backend, "cluster", lambda *_, **__: nullcontext(SimpleNamespace()))
    monkeypatch.setattr(backend, "_on_workers", lambda ray, new, blocks, workers: blocks)
    monkeypatch.setattr(Shards, "finish", lambda *_: Totals())
    first = next(iter(job.blocks()))
    job.shards.begin(job.settings()).release()
    job.shards.shard(first.name).touch()
    tag_on_cluster(job, workers=1)
    assert (bars[0].total, bars[0].n, bars[0].initial) == (601, 601, first.posts)


def test_what_the_command_asks_for(
    job: TaggingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def tag(job: TaggingJob, **options: Any) -> Totals:
        asked.append((job, options))
        return Totals(posts=7, images=3)

    monkeypatch.setattr("flair_espvr.tagging.backends.ray.tag_on_cluster", tag)
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)

    def run(*arguments: object) -> int:
        return predict.run(parser.parse_args([str(argument) for argument in (job.model, *arguments)]))

    given = [*job.inputs, "--out", job.out, "--tags", "tags.tsv", "--amp"]
    assert run(*given, "--ray") == 0
    assert "7 posts, 3 with a picture" in capsys.readouterr().err
    expected = replace(
        job, contexts={"tags": Path("tags.tsv")}, amp=True, keep_bad=False, batch_size=32, windows=WINDOWS
    )
    assert asked[0] == (expected, {"address": "local", "workers": None, "gpus_per_worker": 0, "progress": True})
    run(*given, "--workers", 3, "--gpus-per-worker", 0.5, "--quiet", "--ray", "auto")
    assert asked[1][0].device is None
    assert asked[1][1] == {"address": "auto", "workers": 3, "gpus_per_worker": 0.5, "progress": False}
    for wrong in ([*job.inputs], [*job.inputs, "--out", "page.html"], ["--text", "a", "--out", job.out]):
        with pytest.raises(ConfigurationError, match="--ray: needs"):
            run(*wrong, "--ray")


@pytest.mark.slow
def test_functions_of_a_module_as_tasks(ray: Any) -> None:
    assert list(on_cluster(os.path.abspath, ["a"])) == [os.path.abspath("a")]
    with pytest.raises(OSError, match="nowhere"):
        list(on_cluster(os.listdir, ["/nowhere"]))


class FakeRay:
    """A cluster of one process, in which what is called is done when it is waited for."""

    class exceptions:  # noqa: N801 - as Ray calls it
        class RayTaskError(Exception):
            pass

        class RayActorError(Exception):
            pass

        class WorkerCrashedError(Exception):
            pass

    def __init__(self) -> None:
        self.alive = True
        self.started = 0

    def wait(self, calls: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        return calls[:1], calls[1:]

    def get(self, call: Callable[[], Any]) -> Any:
        return call()

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "here")

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": "here", "Alive": self.alive}, {"NodeID": "there", "Alive": True}]

    def worker(self, deadly: set[int], loads: bool = True) -> Any:
        self.started += 1

        def tag(block: Block) -> Callable[[], None]:
            def call() -> None:
                if block.number in deadly:
                    raise self.exceptions.RayActorError(f"died of {block.number}")

            return call

        def load() -> Callable[[], None]:
            def call() -> None:
                if not loads:
                    raise self.exceptions.RayActorError("out of memory")

            return call

        return SimpleNamespace(tag=SimpleNamespace(remote=tag), load=SimpleNamespace(remote=load))


def blocks(count: int) -> Iterator[Block]:
    return (Block(number, (), "") for number in range(count))


def test_a_block_that_kills_its_workers_is_given_up_and_the_others_are_done() -> None:
    ray, done = FakeRay(), []
    piece = Piece(0, Place(lines=9), 5, "jsonl")
    given = (Block(number, (piece,), "") for number in range(6))

    def tag_all() -> None:
        for block in _on_workers(ray, lambda: ray.worker({2}), given, 2):
            done.append(block.number)

    with pytest.raises(
        ClusterError, match=r"1 blocks have each ended 3 workers, .*5 posts after line 9 of input file 1"
    ):
        tag_all()
    assert sorted(done) == [0, 1, 3, 4, 5]
    assert ray.started == 2 + 3


def test_no_more_workers_than_blocks_and_none_for_no_posts() -> None:
    ray = FakeRay()
    assert [block.number for block in _on_workers(ray, lambda: ray.worker(set()), blocks(2), 5)] == [0, 1]
    assert ray.started == 2
    assert list(_on_workers(ray, lambda: ray.worker(set()), blocks(0), 5)) == []
    assert ray.started == 2


def test_what_cannot_go_on_says_so() -> None:
    ray = FakeRay()
    with pytest.raises(ClusterError, match="3 workers have died while loading the model"):
        list(_on_workers(ray, lambda: ray.worker(set(), loads=False), blocks(5), 1))
    ray.alive = False
    with pytest.raises(ClusterError, match="Ray has died on this machine"):
        list(_on_workers(ray, lambda: ray.worker({0}), blocks(5), 1))
