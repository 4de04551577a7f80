"""The `--ray` of the commands whose work many processes may share."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flair_espvr.training.jobs import Job


def add_cluster(parser: argparse.ArgumentParser, *, workers: bool = True) -> None:
    """`--ray` and, with `workers`, `--workers`; and `--gpus-per-worker`."""
    parser.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="compute with many processes: on this machine, or on the Ray cluster at ADDRESS (auto for the one that "
        "this machine belongs to). Put it last: what follows is taken for ADDRESS",
    )
    if workers:
        parser.add_argument(
            "--workers",
            type=_natural,
            metavar="N",
            help="with --ray: processes (default: what the cluster has room for)",
        )
    parser.add_argument(
        "--gpus-per-worker",
        type=float,
        default=0,
        metavar="N",
        help="with --ray: GPUs of each process, 0.5 for two processes on one (default: 0, on CPUs)",
    )


def make_jobs(jobs: Sequence["Job"], arguments: argparse.Namespace) -> list[str]:
    """Do the jobs that are not done, here or on a cluster; gives those that cannot be done, and why."""
    from flair_espvr.training.jobs import make_missing, make_one

    if arguments.no_run:
        return []
    if arguments.ray is None:
        return make_missing(jobs, lambda line: print(line, file=sys.stderr))

    from flair_espvr.tagging.backends.ray import on_cluster

    missing = [job for job in jobs if not job.is_done]
    made = on_cluster(
        make_one,
        missing,
        address=arguments.ray,
        workers=arguments.workers,
        gpus_per_worker=arguments.gpus_per_worker,
    )
    return [problem for problems in made for problem in problems]


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number, 1 or more")
    return int(text)
