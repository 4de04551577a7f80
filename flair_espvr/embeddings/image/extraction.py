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
from flair_espvr.errors import BadImageError
from flair_espvr.images.store.region_store import RegionStore
from flair_espvr.images.worker_pool import WorkerPool
from flair_espvr.images.worker_tasks import crashed, key_and_pixels_or_error, key_or_error


@dataclass
class Extraction:
    """What a run did.

    Attributes:
        added: pictures computed and stored.
        present: pictures that the store had before.
        copies: files with the same content as another one of the run.
        other_shards: pictures left to other shards.
        bad: files that are no pictures -> the reason.
    """

    added: int = 0
    present: int = 0
    copies: int = 0
    other_shards: int = 0
    bad: dict[str, str] = field(default_factory=dict)


def extract_regions(
    paths: Sequence[Path],
    store: RegionStore,
    backbone: Backbone,
    *,
    device: torch.device,
    workers: int,
    batch_size: int,
    shard: tuple[int, int] = (1, 1),
    progress: bool = True,
) -> Extraction:
    """Adds the features of pictures to a store, but of those that it holds already.

    Each batch is on disk before the next is computed, so a run that was stopped, however hard, is resumed by the next.

    Args:
        paths: picture files.
        store: where to; open for writing.
        backbone: what computes.
        device: where it computes.
        workers: processes that read pictures; 0 reads them in this one.
        batch_size: pictures per transaction, and per forward pass but on a CPU, where fewer at once may be faster.
        shard: `(i, n)`: only the i-th of n parts, counted from 1. Which part a picture belongs to, its content says.
        progress: show bars.

    Raises:
        RegionStoreError: the store cannot be written.
    """
    done = Extraction()
    at_once = backbone.images_at_once(device, limit=batch_size)
    with WorkerPool(workers) as pool:
        missing = _missing(paths, store, pool, done, shard=shard, progress=progress)
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
    store: RegionStore,
    pool: WorkerPool,
    done: Extraction,
    *,
    shard: tuple[int, int],
    progress: bool,
) -> list[Path]:
    """One file of each picture that the store should hold and does not; `done` takes account of all others."""
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
            elif key in store:
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
