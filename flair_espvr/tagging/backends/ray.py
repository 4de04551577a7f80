"""Work on a Ray cluster, be it this machine alone. Ray places and starts processes and tells when one has died.

Ray is imported when it is asked for: nothing else in the package needs it.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from more_itertools import peekable
from tqdm import tqdm

from flair_espvr.errors import ClusterError, ConfigurationError, EspvrError
from flair_espvr.tagging.block_tagger import BlockTagger, TaggingJob
from flair_espvr.tagging.blocks import Block
from flair_espvr.tagging.shards import Totals
from flair_espvr.tagging.sources import count_posts

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

LOCAL = "local"
"""The address of a cluster that is started for this process and ends with it."""

_DEATHS = 3
"""Workers that one block, or loading the model, may cost."""

_LOCAL_OBJECTS = 80_000_000
"""Bytes of Ray's object store where the cluster is ours: posts and results are in files."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def cluster(address: str = LOCAL, *, cpus: int | None = None) -> Iterator[Any]:
    """Connect to a cluster for the block, or stay with the one that this process is connected to; gives `ray`.

    Args:
        address: `"local"` starts a cluster of this machine; `"auto"`, `"ray://..."` or `"host:port"` is one that runs.
        cpus: Processors of a cluster that is started; all by default.

    Raises:
        ConfigurationError: Ray is not installed.
        ClusterError: There is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigurationError("--ray needs Ray: pip install 'flair-espvr[ray]'") from None
    if ray.is_initialized():  # by who calls this
        yield ray
        return
    ours: dict[str, Any] = {}
    if address == LOCAL:
        ours = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": _LOCAL_OBJECTS}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **ours)
    except Exception as error:  # Ray raises bare ones too, where its processes take too long to start
        raise ClusterError(f"--ray {address}: no cluster answers there ({error})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def tag_on_cluster(
    job: TaggingJob,
    *,
    address: str = LOCAL,
    workers: int | None = None,
    gpus_per_worker: float = 0,
    progress: bool = True,
) -> Totals:
    """Tag posts into a folder of shards, with as many processes as there are processors, or GPUs.

    What is done is kept: after a stop of whatever kind, the same call does the rest. A worker that dies, alone or with
    its machine, costs the block that it had in hand; another one takes its place as soon as there is room for it.

    Args:
        job: What to tag, with what and how.
        address: See `cluster`.
        workers: Processes, each with a processor and a model of its own; as many as there is room for by default.
        gpus_per_worker: GPUs of each; a fraction lets several share one.
        progress: Show a bar.

    Raises:
        ClusterError: The cluster is gone, or some blocks ended every worker that had them; the rest is done.
        EspvrError, OSError: What a worker has raised.
    """
    settings = job.settings()
    blocks = job.blocks()
    shards = job.shards
    with shards.begin(settings), cluster(address, cpus=workers) as ray:
        names: list[str] = []

        def to_do() -> Iterator[Block]:
            for block in blocks:
                names.append(block.name)
                if not shards.shard(block.name).exists():
                    yield block
                elif progress:  # it is done, and counts for no rate
                    bar.n, bar.initial = bar.n + block.posts, bar.initial + block.posts

        def new_worker() -> "ActorHandle[Any]":
            return ray.remote(BlockTagger).options(num_cpus=1, num_gpus=gpus_per_worker).remote(job)

        total = count_posts(job.inputs) if progress else None
        with tqdm(desc="Tagging", total=total, unit="post", dynamic_ncols=True, disable=not progress) as bar:
            for block in _on_workers(ray, new_worker, to_do(), workers or _room(ray, gpus_per_worker)):
                bar.update(block.posts)
        return shards.finish(names, settings)


def on_cluster(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    address: str = LOCAL,
    workers: int | None = None,
    gpus_per_worker: float = 0,
) -> Iterator[Result]:
    """Yield what a function gives for each of a few items, as they are done; each is a Ray task that may be begun anew.

    Args:
        work: A function of a module.
        items: What it is called with.
        address, workers, gpus_per_worker: See `tag_on_cluster`.

    Raises:
        ClusterError: A worker has died several times over an item.
        EspvrError, OSError: What the function raises.
    """
    with cluster(address, cpus=workers) as ray:
        options = {"num_cpus": 1, "num_gpus": gpus_per_worker, "max_retries": _DEATHS - 1}
        task = ray.remote(_in_folder).options(**options)
        folder = os.getcwd()
        running = [task.remote(folder, work, item) for item in items]
        while running:
            (done,), running = ray.wait(running, num_returns=1)
            yield _result(ray, done)


def _in_folder(folder: str, work: Callable[[Item], Result], item: Item) -> Result:
    os.chdir(folder)
    return work(item)


def _on_workers(
    ray: Any, new_worker: Callable[[], "ActorHandle[Any]"], blocks: Iterator[Block], workers: int
) -> Iterator[Block]:
    """Every block through one of some actors, each with one in hand; gives those that are done."""
    to_do = peekable(blocks)
    idle: list[ActorHandle[Any]] = []
    starting: dict[ObjectRef[Any], ActorHandle[Any]] = {}
    working: dict[ObjectRef[Any], tuple[ActorHandle[Any], Block]] = {}
    deaths: Counter[Block | None] = Counter()  # None: over the model, since one last was loaded
    given_up: list[Block] = []

    def start() -> None:
        worker = new_worker()
        starting[worker.load.remote()] = worker

    for _ in to_do[:workers]:
        start()
    while to_do or working:
        while to_do and idle:
            worker, block = idle.pop(), next(to_do)
            working[worker.tag.remote(block)] = worker, block
        (done,), _ = ray.wait([*starting, *working], num_returns=1)
        in_hand: Block | None = None
        if done in working:
            worker, in_hand = working.pop(done)
        else:
            worker = starting.pop(done)
        try:
            _result(ray, done)
        except ray.exceptions.RayActorError as error:
            _require_own_node(ray)
            deaths[in_hand] += 1
            if in_hand is None:
                if deaths[None] == _DEATHS:
                    raise ClusterError(f"{_DEATHS} workers have died while loading the model ({error})") from error
            elif deaths[in_hand] == _DEATHS:
                given_up.append(in_hand)
            else:
                to_do.prepend(in_hand)
            start()
            continue
        idle.append(worker)
        if in_hand is None:
            deaths[None] = 0
        else:
            yield in_hand
    if given_up:
        raise ClusterError(
            f"{len(given_up)} blocks have each ended {_DEATHS} workers, for instance {_described(given_up[0])}; all "
            "others are done. Too little memory, or a picture that crashes its decoder?"
        )


def _result(ray: Any, done: "ObjectRef[Any]") -> Any:
    """Return what a call gave; what it raised, as it was raised."""
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, EspvrError | OSError):
            raise error.cause from None
        raise
    except ray.exceptions.WorkerCrashedError as error:
        raise ClusterError(f"{_DEATHS} workers have died over the same piece of work ({error})") from error


def _require_own_node(ray: Any) -> None:
    """Without the node that this process belongs to, nothing can be started."""
    own = ray.get_runtime_context().get_node_id()
    if not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == own):
        raise ClusterError("Ray has died on this machine; give the same command again, what is done is kept")


def _room(ray: Any, gpus_per_worker: float) -> int:
    """How many workers the cluster has processors and GPUs for."""
    resources = ray.cluster_resources()
    room = int(resources.get("CPU", 0))
    if gpus_per_worker:
        room = min(room, int(resources.get("GPU", 0) / gpus_per_worker))
    if not room:
        raise ClusterError(f"the cluster has no room for a worker of 1 CPU and {gpus_per_worker} GPUs ({resources})")
    return room


def _described(block: Block) -> str:
    places = (
        f"{piece.posts:,} posts after line {piece.start.lines:,} of input file {piece.file + 1}"
        for piece in block.pieces
    )
    return f"block {block.number} ({', '.join(places)})"
