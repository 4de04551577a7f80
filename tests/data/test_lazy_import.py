import subprocess
import sys

import flair
import pytest

import flair_espvr.data
from flair_espvr import MINILM_L6
from flair_espvr.images.worker_pool import WorkerPool

HEAVY = ["flair", "torch", "transformers", "timm"]


def test_every_public_name_is_there():
    names = {name: getattr(flair_espvr.data, name) for name in flair_espvr.data.__all__}
    assert names["MultimodalCorpus"].__module__ == "flair_espvr.data.corpora"
    assert sorted(names) == sorted(flair_espvr.data._HOMES)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"'flair_espvr\.data' has no attribute 'MultimodalCorpse'"):
        _ = flair_espvr.data.MultimodalCorpse
    with pytest.raises(ImportError, match="cannot import name"):
        from flair_espvr.data import nothing  # noqa: F401


def test_reading_pictures_imports_nothing_heavy():
    program = f"import flair_espvr.images.worker_tasks, sys; sys.exit(str(sys.modules.keys() & {HEAVY!r}))"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.stderr.strip() == "set()"


def test_workers_have_nothing_heavy_though_this_process_has():
    assert sys.modules["flair"] is flair
    with WorkerPool(1) as pool:
        loaded = f"__import__('sys').modules.keys() & {HEAVY!r}"
        assert list(pool.map(eval, [loaded], crashed=str)) == [(loaded, set())]


def test_checks_and_conversions_do_not_wait_for_flair(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "I sing", "entities": [{"start": 0, "end": 1, "type": "PER"}]}\n')
    (tmp_path / "test.txt").write_text("IMGID:1\nKevin\tB-PER\n")
    folder = str(tmp_path)
    for arguments in (
        ["check", folder, "--encoder", MINILM_L6],
        ["convert", f"{folder}/train.jsonl", f"{folder}/out.conll"],
        ["convert", f"{folder}/test.txt", f"{folder}/out.csv"],
        ["convert", f"{folder}/test.txt", f"{folder}/out.json", "--to", "label-studio"],
    ):
        main = f"from flair_espvr.commands.main import main; import sys; code = main({arguments!r})"
        program = f"{main}; sys.exit(str((code, sys.modules.keys() & {HEAVY!r})))"
        process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert process.stderr.strip() == "(0, set())"
