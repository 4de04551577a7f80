"""`flair-espvr regions`: the pictures of a corpus through a backbone, once, into a region store."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flair_espvr.commands import FOUND_BAD
from flair_espvr.commands.bad_images import add_bad_list_argument, report_bad_images
from flair_espvr.commands.cluster import add_cluster
from flair_espvr.commands.device import chosen_device
from flair_espvr.commands.pictures import find_pictures

if TYPE_CHECKING:
    import torch

    from flair_espvr.embeddings.image.extraction import Extraction, ExtractionJob

HELP = "compute the picture regions of a whole corpus, once"

_EPILOG = """\
forms:
  flair-espvr regions FOLDER --store STORE      compute what is missing from STORE for all pictures below FOLDER
  flair-espvr regions POSTS --store STORE       the same for the pictures of POSTS, one file of posts or a folder with
                                                train, valid or dev, test; --images FOLDER has them by image id
  flair-espvr regions merge STORE STORE...      add all other stores to the first
  flair-espvr regions verify STORE...           read every value and say which are damaged
  flair-espvr regions info STORE...             what a store holds, as JSON

A run that was stopped, by Ctrl-C or by a power cut, goes on where it was when started again.
To split the work over machines, give each a store of its own and --shard 1/3, 2/3, 3/3, then merge the stores;
processes of one machine may share a store. --ray does that: --workers processes, each of a CPU or GPU on any machine of
the cluster, fill stores beside STORE, which are merged into it at the end.

exit codes: 0 all is well; 1 nothing or not all was done, the message says why; 3 all was done, but some pictures
cannot be read (standard error says which and why) or, with verify, some values are damaged; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "operands", nargs="+", metavar="FOLDER_OR_POSTS", help="a folder of pictures, or posts; or see the forms"
    )
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="the pictures of posts that name none, by image id"
    )
    parser.add_argument("--store", type=Path, help="folder of the region store, made if there is none")
    parser.add_argument("--backbone", metavar="NAME", help="timm model (default: the paper's Swin-Large at 384 px)")
    parser.add_argument(
        "--image-size", type=int, metavar="PIXELS", help="side of the square input (default: the model's)"
    )
    parser.add_argument(
        "--stages",
        type=int,
        default=1,
        metavar="N",
        help="take the maps of the model's last N stages, on the finest one's grid (default: what the model gives)",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="weights in place of those that timm fetches; package:NAME/PATH for a file in an installed package",
    )
    parser.add_argument("--device", help="where to compute, e.g. cpu or cuda:1 (default: a GPU if there is one)")
    parser.add_argument(
        "--workers",
        type=int,
        default=2,
        metavar="N",
        help="processes that read pictures; with --ray, that also compute (default: 2)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=32,
        metavar="N",
        help="pictures per addition to the store, and per forward pass on a GPU (default: 32)",
    )
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="only the I-th of N parts")
    add_bad_list_argument(parser)
    add_cluster(parser, workers=False)


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 or, where some pictures or values are bad, 3.

    Raises:
        EspvrError: what was asked cannot be done.
    """
    form, *stores = arguments.operands
    if form == "merge" and len(stores) >= 2:
        return _merge(stores[0], stores[1:])
    if form == "verify" and stores:
        return _verify(stores)
    if form == "info" and stores:
        return _info(stores)
    return _extract(arguments)


def _extract(arguments: argparse.Namespace) -> int:
    from flair_espvr.errors import ConfigurationError
    from flair_espvr.images.bad_images import BadImages

    if len(arguments.operands) != 1 or arguments.store is None:
        raise ConfigurationError(
            "expected one folder, or posts, and --store; see `flair-espvr regions --help` for other forms"
        )
    source = Path(arguments.operands[0])
    if not source.exists():
        raise ConfigurationError(f"{source}: no such folder or file of posts")
    if arguments.workers < 0 or min(arguments.batch_size, arguments.stages) < 1:
        raise ConfigurationError("--workers should be 0 or more, and --batch-size and --stages 1 or more")

    from flair_espvr.embeddings.image.extraction import ExtractionJob
    from flair_espvr.embeddings.image.regions import DEFAULT_BACKBONE

    device = chosen_device(arguments.device) if arguments.ray is None else _device_there(arguments)
    pictures, missing = find_pictures(source, arguments.images, copies=True)
    job = ExtractionJob(
        list(pictures.values()),
        arguments.store,
        arguments.backbone or DEFAULT_BACKBONE,
        device,
        image_size=arguments.image_size,
        stages=arguments.stages,
        checkpoint=arguments.checkpoint,
        workers=arguments.workers,
        batch_size=arguments.batch_size,
        shard=arguments.shard,
    )
    done = job.run() if arguments.ray is None else _extract_on_cluster(job, arguments)
    bad = {**done.bad, **missing}
    report_bad_images(BadImages(bad), arguments.bad_list)
    print(
        f"{arguments.store}: {done.total:,} pictures. Added {done.added:,}, there before {done.present:,}, "
        f"copies {done.copies:,}, of other shards {done.other_shards:,}, bad {len(bad):,}."
    )
    return FOUND_BAD if bad else 0


def _device_there(arguments: argparse.Namespace) -> "torch.device":
    """Where a worker of the cluster computes, whatever this machine has."""
    import torch

    return torch.device(arguments.device or ("cuda" if arguments.gpus_per_worker else "cpu"))


def _extract_on_cluster(job: "ExtractionJob", arguments: argparse.Namespace) -> "Extraction":
    """Do the pictures in parts, each with a store of its own beside the one they are merged into; say what was done."""
    import shutil

    from flair_espvr.embeddings.image.extraction import Extraction, run_job
    from flair_espvr.images.store.region_store import RegionStore, merge_stores
    from flair_espvr.tagging.backends.ray import on_cluster

    parts = arguments.workers or 1
    jobs = [
        replace(
            job,
            pictures=job.pictures[part::parts],
            store=job.store.with_name(f"{job.store.name}.part-{part + 1}-of-{parts}"),
            workers=1,
            known=job.store,
        )
        for part in range(parts)
    ]
    done = Extraction()
    results = on_cluster(run_job, jobs, address=arguments.ray, workers=parts, gpus_per_worker=arguments.gpus_per_worker)
    for result in results:
        done.add(result)
    sources = [RegionStore(part.store) for part in jobs]
    with RegionStore(job.store, header=sources[0].header, writable=True) as store:
        for _ in merge_stores(store, sources):
            pass
        done.total = len(store)
    for part in jobs:
        shutil.rmtree(part.store)
    return done


def _merge(target: str, sources: list[str]) -> int:
    from tqdm import tqdm

    from flair_espvr.images.store.region_store import RegionStore, merge_stores

    opened = [RegionStore(source) for source in sources]
    with (
        RegionStore(target, header=opened[0].header, writable=True) as store,
        tqdm(desc="Merging", total=sum(map(len, opened)), unit="picture") as bar,
    ):
        for copied in merge_stores(store, opened):
            bar.update(copied)
        print(f"{target}: {len(store):,} pictures.")
    return 0


def _verify(stores: list[str]) -> int:
    from flair_espvr.images.store.region_store import RegionStore

    damaged = False
    for folder in stores:
        store = RegionStore(folder)
        problems = store.verify()
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{folder}: {len(store):,} pictures, {len(problems):,} of them damaged.")
        damaged = damaged or bool(problems)
    return FOUND_BAD if damaged else 0


def _info(stores: list[str]) -> int:
    import json

    from flair_espvr.images.store.region_store import RegionStore

    for folder in stores:
        print(json.dumps({"store": folder, **RegionStore(folder).info()}, indent=2))
    return 0


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isascii() and parts.isascii() and part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} should be I/N with I from 1 to N, e.g. 2/3")
    return int(part), int(parts)
