"""What a run was made with: versions, revision, and hashes of its data."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flair_espvr.data import IMAGE, MultimodalCorpus
from flair_espvr.io.download import sha256_of

_PACKAGES = ("flair-espvr", "flair", "torch", "transformers", "timm", "numpy")


def environment(corpus: MultimodalCorpus) -> dict[str, Any]:
    """Plain values that say what a run on this corpus, on this machine, was made with."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "git_revision": git_revision(Path(__file__).parent),
        "machine": platform.platform(),
        "edition": corpus.edition,
        "sha256": {str(path): sha256_of(path) for path in corpus.files},
        "pictures": sum(1 for sentence in corpus.get_all_sentences() if sentence.has_metadata(IMAGE)),
    }


def git_revision(folder: Path) -> str | None:
    """Return the commit that a checkout is at, `+` where it has changes; None where the code is not in a checkout."""
    described = subprocess.run(
        ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or None
