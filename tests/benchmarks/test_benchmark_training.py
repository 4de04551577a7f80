"""Runs of benchmarks that train: each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import benchmarks.training

PROGRAM = """
import argparse, os, time
from pathlib import Path
from benchmarks.training import do_missing_runs

def run(options, **names):
    print("begun", flush=True)
    time.sleep(30)
    print("outlived", flush=True)
    os._exit(1)

if __name__ == "__main__":
    do_missing_runs(Path("results.jsonl"), {}, [{"seed": 1}], run, argparse.Namespace())
"""


def test_a_run_ends_with_the_benchmark_that_was_killed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(benchmarks.training.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as benchmark:
        assert benchmark.stdout is not None
        assert benchmark.stdout.readline() == b"begun\n"
        benchmark.kill()
        assert benchmark.stdout.read() == b"", "the run holds the pipe, too, until it ends"
    assert not (tmp_path / "results.jsonl").exists()
