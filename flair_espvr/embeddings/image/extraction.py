"""From picture files to a full region store, in as many runs as it takes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from more_itertools import chunked
from tqdm import tqdm

from flair_espvr.embeddings.image.backbone import Backbone
from flair_espvr.embeddings.image.backbone_weights import read_weights
from flair_espvr.errors import BadImageError
from flair_espvr.images.store.region_store import RegionStore
from flair_espvr.images.worker_pool import WorkerPool
from flair_espvr.images.worker_tasks import crashed, key_and_pixels_or_error, key_or_error


@dataclass(frozen=True)
class ExtractionJob:
    """Pictures whose features are to be in a store.

    Attributes:
        pictures: Their files.
        store: The store's folder; made where it is not there.
        backbone, image_size, stages: See `Backbone`.
        device: Where to compute.
        checkpoint: A file of weights in place of those that timm fetches.
        workers, batch_size, shard: See `extract_regions`.
        known: Another store, whose pictures need not be computed; it may not be there.
    """

    pictures: Sequence[Path]
    store: Path
    backbone: str
    device: torch.device
    image_size: int | None = None
    checkpoint: Path | None = None
    workers: int = 1
    batch_size: int = 32
    shard: tuple[int, int] = (1, 1)
    known: Path | None = None
    stages: int = 1

    def run(self) -> "Extraction":
        """Fill the store, and say what was done.

        Raises:
            EspvrError: There are no such weights, or a store cannot be opened or written.
        """
        backbone = Backbone(
            self.backbone,
            image_size=self.image_size,
            stages=self.stages,
            weights=None if self.checkpoint is None else read_weights(self.checkpoint),
            weights_source=str(self.checkpoint),
        )
        known = (
            RegionStore(self.known, header=backbone.header) if self.known and RegionStore.exists(self.known) else None
        )
        with RegionStore(self.store, header=backbone.header, writable=True) as store:
            done = extract_regions(
                self.pictures,
                store,
                backbone,
                device=self.device,
                workers=self.workers,
                batch_size=self.batch_size,
                shard=self.shard,
                known=known,
            )
            done.total = len(store)
        return done


@dataclass
class Extraction:
    """What a run did.

    Attributes:
        added: pictures computed and stored.
        present: pictures that the store had before.
        copies: files with the same content as another one of the run.
        other_shards: pictures left to other shards.
        bad: files that are no pictures -> the reason.
        total: pictures in the store afterwards, where that was asked.
    """

    added: int = 0
    present: int = 0
    copies: int = 0
    other_shards: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    total: int = 0

    def add(self, other: "Extraction") -> None:
        """Add what was done for other pictures, with another store."""
        self.added += other.added
        self.present += other.present
        self.copies += other.copies
        self.other_shards += other.other_shards
        self.bad |= other.bad


def run_job(job: ExtractionJob) -> Extraction:
    """Return what `job.run()` gives."""
    return job.run()


def extract_regions(
    paths: Sequence[Path],
    store: RegionStore,
    backbone: Backbone,
    *,
    device: torch.device,
    workers: int,
    batch_size: int,
    shard: tuple[int, int] = (1, 1),
    known: RegionStore | None = None,
    progress: bool = True,
) -> Extraction:
    """Add the features of pictures to a store, but of those that it holds already.

    Each batch is on disk before the next is computed, so a run that was stopped, however hard, is resumed by the next.

    Args:
        paths: picture files.
        store: where to; open for writing.
        backbone: what computes.
        device: where it computes.
        workers: processes that read pictures; 0 reads them in this one.
        batch_size: pictures per transaction, and per forward pass but on a CPU, where fewer at once may be faster.
        shard: `(i, n)`: only the i-th of n parts, counted from 1. Which part a picture belongs to, its content says.
        known: another store, whose pictures count as present.
        progress: show bars.

    Raises:
        RegionStoreError: the store cannot be written.
    """
    done = Extraction()
    at_once = backbone.images_at_once(device, limit=batch_size)
    with WorkerPool(workers) as pool:
        missing = _missing(paths, [store, *([known] if known else [])], pool, done, shard=shard, progress=progress)
        decode = partial(key_and_pixels_or_error, image_size=backbone.image_size)
        decoded = pool.map(decode, missing, crashed=crashed)
        with tqdm(desc="Computing regions", total=len(missing), unit="picture", disable=not progress) as bar:
            computed = _computed(decoded, backbone, done, device=device, at_once=at_once, bar=bar)
            for batch in chunked(computed, batch_size):
                store.put_many(dict(batch))
                done.added += len(batch)
    return done


def _missing(
    paths: Sequence[Path],
    stores: Sequence[RegionStore],
    pool: WorkerPool,
    done: Extraction,
    *,
    shard: tuple[int, int],
    progress: bool,
) -> list[Path]:
    """One file of each picture that a store should hold and none does; `done` takes account of all others."""
    missing, seen = [], set()
    hashed = pool.map(key_or_error, paths, crashed=crashed)
    for path, key in tqdm(hashed, "Finding new pictures", len(paths), unit="picture", disable=not progress):
        if isinstance(key, BadImageError):
            done.bad[str(path)] = key.reason
        elif key in seen:
            done.copies += 1
        else:
            seen.add(key)
            if int.from_bytes(key[:8], "big") % shard[1] != shard[0] - 1:
                done.other_shards += 1
            elif any(key in store for store in stores):
                done.present += 1
            else:
                missing.append(path)
    return missing


def _computed(
    decoded: Iterable[tuple[Path, tuple[bytes, np.ndarray] | BadImageError]],
    backbone: Backbone,
    done: Extraction,
    *,
    device: torch.device,
    at_once: int,
    bar: tqdm,
) -> Iterator[tuple[bytes, np.ndarray]]:
    """Content key and features (1+R,Dv) of each good picture, as soon as `at_once` of them have been decoded."""
    for part in chunked(decoded, at_once):
        squares: dict[bytes, np.ndarray] = {}
        for path, result in part:
            if isinstance(result, BadImageError):
                done.bad[str(path)] = result.reason
            else:
                squares[result[0]] = result[1]
        bar.update(len(part))
        if squares:
            pixels = torch.from_numpy(np.stack(list(squares.values())))
            yield from zip(squares, backbone.encode(pixels, device).cpu().numpy(), strict=True)
