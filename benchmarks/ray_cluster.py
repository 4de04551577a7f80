"""`flair-espvr predict --ray` against one process: the same bytes after kills, memory, throughput, a node that is lost.

    python -m benchmarks.ray_cluster [--posts 20000] [--parts text pictures throughput node]

`text` and `pictures` tag made-up posts with a tiny tagger, the latter with 1,000 drawn pictures in turn. Two workers do
it while one of them, then Ray's own process, then the driver are killed (-9), each in mid-run; what one process writes
is the reference. `throughput` is of MiniLM-L6 without pictures. `node` removes one of two nodes. Ray's workers are as
urgent here as other processes (`RAY_worker_niceness`), which matters on a machine that is shared.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.streaming import save_tagger, write_posts

PICTURES = 1_000
POLL = 0.25
WORKER = b"ray::BlockTagger"
BLOCK = 8 * 16
"""Batches in a block: eight windows of 16."""


@dataclass
class Processes:
    """The processes of a run: who they are, their memory and what they computed, as last seen.

    Attributes:
        memory: by kind (driver, workers, ray), MB in all at each look, and the shards that were done then.
        seconds: by kind and process, of the processor.
    """

    driver: int
    memory: list[dict[str, float]] = field(default_factory=list)
    seconds: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    kinds: dict[int, str] = field(default_factory=dict)

    def look(self, shards: int) -> None:
        """Take note of all of them."""
        memory: dict[str, float] = defaultdict(float)
        parents, now = {}, {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if entry.name.isdigit():
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    parents[int(entry.name)] = int(fields[1])
                    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                    now[int(entry.name)] = seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        self.kinds = {}
        for process, (seconds, megabytes) in now.items():
            kind = self._kind(process, parents)
            if kind is not None:
                self.kinds[process] = kind
                memory[kind] += megabytes
                self.seconds[kind][process] = seconds
        self.memory.append({**memory, "shards": shards})

    def of(self, kind: str) -> list[int]:
        """Those of a kind that were there at the last look."""
        return [process for process, its in self.kinds.items() if its == kind]

    def _kind(self, process: int, parents: dict[int, int]) -> str | None:
        if process == self.driver:
            return "driver"
        above = process
        while above not in (0, 1, self.driver):
            above = parents.get(above, 0)
        if above != self.driver:
            return None
        with suppress(OSError):
            line = Path(f"/proc/{process}/cmdline").read_bytes()
            if line.startswith(WORKER):
                return "workers"
            if Path(line.split(b"\0")[0].decode()).name == "raylet":
                return "raylet"
        return "ray"


def command(model: Path, posts: Path, out: Path, *more: str) -> list[str]:
    """`flair-espvr predict`, on CPUs."""
    program = [sys.executable, "-m", "flair_espvr.commands.main", "predict"]
    return [*program, str(model), str(posts), "--out", str(out), "--device", "cpu", "--quiet", *more]


def run(line: list[str], out: Path, threads: int, kill: Sequence[tuple[int, str]] = ()) -> tuple[Processes, int, float]:
    """Run a command to its end.

    Args:
        line: The command.
        out: Its folder of shards.
        threads: Of torch, where it computes itself.
        kill: For each number of finished shards, what is killed when there are that many: `"workers"` (one of them),
            `"raylet"` or `"driver"`.

    Returns:
        What was seen of its processes, its exit code and its seconds.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "RAY_worker_niceness": "0"}
    environment["RAY_worker_register_timeout_seconds"] = "600"
    started = time.perf_counter()
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()))
    reader.start()
    seen, waiting = Processes(process.pid), list(kill)
    while process.poll() is None:
        shards = len(list((out / "shards").glob("[0-9]*")))
        seen.look(shards)
        if waiting and shards >= waiting[0][0] and seen.of(waiting[0][1]):
            victim = seen.of(waiting[0][1])[0]
            print(f"  {shards} shards: kill -9 {waiting[0][1]} ({victim})", flush=True)
            os.kill(victim, signal.SIGKILL)
            waiting.pop(0)
        time.sleep(POLL)
    seconds = time.perf_counter() - started
    reader.join()
    ours = [text.decode() for text in said if text.startswith(b"flair-espvr predict:")]
    print(f"  exit {process.returncode} after {seconds:.0f} s {''.join(ours).strip()}", flush=True)
    return seen, process.returncode, seconds


def equality(model: Path, posts: Path, folder: Path, batch_size: int) -> None:
    """Compare the bytes from one process and from two workers that do not live long."""
    one, out = folder / "one.jsonl", folder / "shards-of-two"
    print("one process:", flush=True)
    size = ("--batch-size", str(batch_size))
    alone, *_ = run(command(model, posts, one, *size), out, threads=1)
    shards = sum(1 for _ in posts.open("rb")) / (batch_size * BLOCK)
    line = command(model, posts, out, *size, "--workers", "2", "--ray")
    looks: list[dict[str, float]] = []
    print("two workers:", flush=True)
    for kill in ([(0.1, "workers"), (0.25, "raylet")], [(0.35, "workers"), (0.5, "driver")], []):
        seen, _, _ = run(line, out, threads=1, kill=[(max(1, int(part * shards)), whom) for part, whom in kill])
        looks += seen.memory
    joined = b"".join(path.read_bytes() for path in sorted((out / "shards").iterdir()))
    manifest = json.loads((out / "manifest.json").read_text())
    print(f"  {manifest['posts']:,} posts, {len(manifest['shards'])} shards, same bytes: {joined == one.read_bytes()}")
    print("| of the run | driver, MB | workers, MB | Ray's own, MB |", "|---|---:|---:|---:|", sep="\n")
    for third in ("begin", "middle", "end"):
        part = {"begin": 0.34, "middle": 0.67, "end": 1.01}[third] * shards
        of_part = [look for look in looks if part - 0.34 * shards <= look["shards"] < part and look.get("workers")]
        greatest = [max((look.get(kind, 0) for look in of_part), default=0) for kind in ("driver", "workers", "ray")]
        print(f"| {third} | {greatest[0]:.0f} | {greatest[1]:.0f} | {greatest[2]:.0f} |", flush=True)
    print(f"one process: {max(look['driver'] for look in alone.memory):.0f} MB at most")
    shutil.rmtree(out)


def tiny_with_pictures(folder: Path, posts: Path, scenes: Path | None) -> tuple[Path, Path]:
    """Return a tiny tagger that looks at pictures, and posts with those of `scenes`, or drawn now, in turn."""
    import torch
    from safetensors.torch import save_file

    from benchmarks.speed.subjects import label_dictionary
    from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, ImageRegionEmbeddings
    from synthetic.scenes import write_scenes

    drawn = scenes or write_scenes(folder / "scenes", train=PICTURES, valid=1, test=1)
    for image in sorted(drawn.glob("images/train*"))[:PICTURES]:
        shutil.copy(image, folder)
    images = sorted(folder.glob("train*"))
    small: dict[str, Any] = {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
    arguments: dict[str, Any] = {"image_size": 64, "pretrained": False, "model_arguments": small}
    torch.manual_seed(0)
    random = ImageRegionEmbeddings("swin_tiny_patch4_window7_224", **arguments)
    save_file(random.backbone_state(), folder / "swin.safetensors")
    regions = ImageRegionEmbeddings(
        "swin_tiny_patch4_window7_224", checkpoint=folder / "swin.safetensors", store=folder / "store", **arguments
    )
    tagger = ESPVRTagger(
        CaptionedTransformerEmbeddings(str(folder)),
        label_dictionary(),
        "ner",
        region_embeddings=regions,
        window=1,
        hidden_size=16,
        num_heads=2,
        num_layers=1,
    )
    tagger.save(folder / "with-pictures.pt")
    with_pictures = folder / "with-pictures.jsonl"
    with posts.open() as lines, with_pictures.open("w") as file:
        for number, line in enumerate(lines):
            name = images[number % PICTURES].name
            file.write(json.dumps({**json.loads(line), "image": name}) + "\n")
    return folder / "with-pictures.pt", with_pictures


def throughput(folder: Path, count: int, rounds: int) -> None:
    """MiniLM-L6 over posts of text: one process with two threads and two workers with one, in turns."""
    from benchmarks.speed.subjects import encoder_folder, espvr_tagger

    espvr_tagger(encoder_folder("minilm", folder)).save(folder / "minilm.pt")
    posts = write_posts(folder / "some.jsonl", count)
    out = folder / "out"
    print(
        "| | seconds | driver or the process, CPU s | workers, CPU s | Ray's own, CPU s |",
        "|---|---:|---:|---:|---:|",
        sep="\n",
    )
    lines: dict[str, tuple[list[str], int]] = {
        "one process, two threads": (command(folder / "minilm.pt", posts, folder / "one"), 2),
        "two workers, one thread": (
            command(folder / "minilm.pt", posts, out, "--batch-size", "32", "--workers", "2", "--ray"),
            1,
        ),
    }
    for _ in range(rounds):
        for name, (line, threads) in lines.items():
            seen, _, seconds = run(line, out, threads)
            spent = {kind: sum(seen.seconds[kind].values()) for kind in ("driver", "workers", "ray", "raylet")}
            shutil.rmtree(out, ignore_errors=True)
            print(
                f"| {name} | {seconds:.0f} | {spent['driver']:.0f} | {spent['workers']:.0f} | "
                f"{spent['ray'] + spent['raylet']:.0f} |",
                flush=True,
            )


def lost_node(model: Path, posts: Path, folder: Path, batch_size: int) -> None:
    """Two nodes of a processor each; one is removed when two shards are done."""
    os.environ.update({"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"})
    from ray.cluster_utils import Cluster

    from flair_espvr.tagging.backends.ray import tag_on_cluster
    from flair_espvr.tagging.block_tagger import TaggingJob

    objects = {"object_store_memory": 80_000_000}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **objects})
    second = nodes.add_node(num_cpus=1, **objects)
    out, one = folder / "shards-of-nodes", folder / "one.jsonl"
    removed: list[int] = []

    def remove() -> None:
        while len(list((out / "shards").glob("[0-9]*"))) < 2:
            time.sleep(POLL)
        removed.append(len(list((out / "shards").glob("[0-9]*"))))
        nodes.remove_node(second, allow_graceful=False)

    remover = threading.Thread(target=remove, daemon=True)
    remover.start()
    job = TaggingJob(model, (str(posts),), out, device="cpu", batch_size=batch_size, windows=2)
    totals = tag_on_cluster(job, address=nodes.address, workers=2, progress=False)
    joined = b"".join(path.read_bytes() for path in sorted((out / "shards").iterdir()))
    print(
        f"a node removed after {removed} shards: {totals.posts:,} posts, the same bytes: {joined == one.read_bytes()}"
    )
    nodes.shutdown()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=8, help="for shards of 1,024 posts (default: %(default)s)")
    parser.add_argument("--timed-posts", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenes", type=Path, metavar="FOLDER", help="drawn already, by `python -m synthetic.scenes`")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args(arguments)

    from benchmarks.measuring import machine

    print(machine("torch", "flair", "ray"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model, posts = save_tagger(folder), write_posts(folder / "posts.jsonl", options.posts)
        if "text" in options.parts:
            print(f"\n{options.posts:,} posts of text")
            equality(model, posts, folder, options.batch_size)
        if "node" in options.parts:
            if not (folder / "one.jsonl").exists():
                size = ("--batch-size", str(options.batch_size))
                run(command(model, posts, folder / "one.jsonl", *size), folder / "none", threads=1)
            lost_node(model, posts, folder, options.batch_size)
        if "pictures" in options.parts:
            print(f"\n{options.posts:,} posts with {PICTURES:,} drawn pictures in turn")
            equality(*tiny_with_pictures(folder, posts, options.scenes), folder, options.batch_size)
        if "throughput" in options.parts:
            print(f"\n{options.timed_posts:,} posts of text, MiniLM-L6")
            throughput(folder, options.timed_posts, options.rounds)


PARTS = ("text", "node", "pictures", "throughput")


if __name__ == "__main__":
    main()
