"""Keep what the runs of tables found, without the posts and the models: docs/RESULTS.md prints tables of them.

    python -m benchmarks.keep RUNS TABLE [TABLE ...]

Of each finished run of the tables its recipe, versions, hashes of its data, scores and counts of each post go to
`benchmarks/kept/runs`. There `flair-espvr table TABLE --no-run --out benchmarks/kept/runs` finds them: runs of several
machines make one table, and differences are tested between a system that was run today and one that was run elsewhere.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from flair_espvr.evaluation.counts_file import write_counts
from flair_espvr.io.atomic import write_text
from flair_espvr.training.runs.run_folder import TEST, RunFolder
from flair_espvr.training.tables.cell_runs import CellRun
from flair_espvr.training.tables.table_file import load_table
from flair_espvr.training.tables.table_runs import cell_jobs

KEPT = Path(__file__).parent / "kept" / "runs"


def keep(run: CellRun, kept: Path) -> None:
    """Copy what of a run says nothing of any post; the scores come last, as in a run."""
    source, target = run.folder, RunFolder(kept / run.folder.path.parent.name / run.folder.path.name)
    target.path.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source.recipe, target.recipe)
    shutil.copyfile(source.given, target.given)
    environment = json.loads(source.environment.read_text("utf-8"))
    hashes = {Path(name).name: value for name, value in environment["sha256"].items()}
    known = {name: value for name, value in environment.items() if name != "machine"}
    write_text(target.environment, json.dumps({**known, "sha256": hashes}, indent=1))
    for evaluation in dict.fromkeys((TEST, run.evaluation)):
        write_counts(target.counts(evaluation), source.read_counts(evaluation))
        shutil.copyfile(source.scores(evaluation), target.scores(evaluation))


def main(arguments: Sequence[str] | None = None, kept: Path = KEPT) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, metavar="RUNS", help="the folder of all runs, as `flair-espvr table --out`")
    parser.add_argument("tables", type=Path, nargs="+", metavar="TABLE")
    chosen = parser.parse_args(arguments)
    for path in chosen.tables:
        jobs = cell_jobs(load_table(path), chosen.runs)
        done = [job for job in jobs if job.is_done]
        for job in done:
            keep(job, kept)
        print(f"{path}: {len(done)} runs kept, {len(jobs) - len(done)} are not finished")


if __name__ == "__main__":
    main()
