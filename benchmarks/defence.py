"""How much code stands between files of strangers, kills and full disks on one side and this package on the other.

    python -m benchmarks.defence [REVISION ...]

Logical lines as Python's tokenizer ends them, docstrings left out, of the modules that exist for nothing else; of the
working tree, or of commits. A file that a revision does not have counts as nothing.
"""

import argparse
import ast
import io
import subprocess
import tokenize
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]

MODULES = {
    "model files": (
        "models/files/allocation_limit",
        "models/files/checkpoint",
        "models/files/container",
        "models/files/embedding_state",
        "models/files/tokenizer_archive",
        "nn/allowance",
    ),
    "pictures and stores": ("images/loading", "images/store/lmdb_environment"),
    "results and locks": ("io/atomic", "io/locks", "io/packaged", "io/resumable", "io/thread_lock"),
}


def logical_lines(source: str) -> int:
    """Logical lines of a module without its docstrings."""
    ends = sum(token.type == tokenize.NEWLINE for token in tokenize.generate_tokens(io.StringIO(source).readline))
    texts = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr))
    return ends - sum(isinstance(text, ast.Constant) and isinstance(text.value, str) for text in texts)


def source_of(module: str, revision: str | None) -> str:
    """Return a module's text, of the working tree or of a revision; empty where there is none."""
    path = f"flair_espvr/{module}.py"
    if revision is None:
        return (_ROOT / path).read_text(encoding="utf-8") if (_ROOT / path).exists() else ""
    shown = subprocess.run(["git", "show", f"{revision}:{path}"], cwd=_ROOT, capture_output=True, text=True)
    return shown.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table, a column for each revision."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("revisions", nargs="*", metavar="REVISION")
    revisions: list[str | None] = [*parser.parse_args(arguments).revisions, None]
    print("| logical lines | " + " | ".join(revision or "working tree" for revision in revisions) + " |")
    print("|---|" + "---|" * len(revisions))
    totals = [0] * len(revisions)
    for part, modules in MODULES.items():
        counts = [sum(logical_lines(source_of(module, revision)) for module in modules) for revision in revisions]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        print(f"| {part} | " + " | ".join(map(str, counts)) + " |")
    print("| all | " + " | ".join(map(str, totals)) + " |")


if __name__ == "__main__":
    main()
