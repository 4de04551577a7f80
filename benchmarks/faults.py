"""Writes docs/FAULTS.md: what the attack tests tried and what came of it.

    python -m benchmarks.faults

runs `tests/security` and takes each row from a test that passed: a test records what it tried and the error it saw, so
the table cannot say what no test showed.
"""

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from flair_espvr.io.atomic import atomic_write

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "FAULTS.md"
_PACKAGES = ("torch", "transformers", "flair", "safetensors", "lmdb", "pillow", "tokenizers")


def run_tests(report: Path) -> None:
    """Run the attack tests; their rows go into a JUnit report.

    Raises:
        subprocess.CalledProcessError: a test failed, so there is no table to write.
    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/security",
        f"--junitxml={report}",
        "-o",
        "junit_family=xunit1",
    ]
    subprocess.run(command, cwd=ROOT, check=True)


def rows(report: Path) -> Iterator[tuple[str, str, str]]:
    """Loader, fault and outcome of everything that was tried."""
    for found in ElementTree.parse(report).iter("property"):
        if found.get("name") == "fault":
            loader, fault, outcome = json.loads(found.get("value", ""))
            yield loader, fault, outcome


def generated(report: Path) -> int:
    """How many inputs were generated."""
    return sum(
        int(found.get("value", "0"))
        for found in ElementTree.parse(report).iter("property")
        if found.get("name") == "generated"
    )


def markdown(report: Path) -> str:
    """Return the whole page."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    lines = [
        "# Faults tried, and outcomes",
        "",
        f"Written by `python -m benchmarks.faults` from the tests in `tests/security`, all passed, on Python "
        f"{platform.python_version()} with {versions}.",
        "Every payload would have made a file, the canary; no test found it. "
        f"{generated(report):,} inputs were generated with fixed seeds, each batch in a process of bounded memory and "
        "time: none hung, none ended the process. `read` means that the input was taken as it was: bits flipped in a "
        "weight or a pixel are another weight or pixel.",
        "",
        "| loader | fault | outcome |",
        "|---|---|---|",
    ]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in sorted(set(rows(report)))]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the tests and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        run_tests(report)
        page = markdown(report)
    with atomic_write(TABLE) as file:
        file.write(page.encode())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
