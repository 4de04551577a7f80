"""What README and guides show runs as it stands there, on weights that install without a hub."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from flair.data import Dictionary
from flair.embeddings import FlairEmbeddings
from flair.models import LanguageModel, SequenceTagger
from PIL import Image
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from flair_espvr.commands.main import main
from flair_espvr.data import read_posts, write_jsonl_posts, write_posts
from flair_espvr.data.sentences import post_sentence

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "resources" / "quickstart"
PAGES = (
    "README.md",
    "docs/DATA.md",
    "docs/GROUNDING.md",
    "docs/RECIPES.md",
    "docs/annotators.md",
    "docs/index.md",
    pytest.param("docs/serving.md", marks=pytest.mark.filterwarnings("ignore")),  # Gradio's own warnings
    "docs/guides/pipeline.md",
    "docs/guides/tagging.md",
)
SPLITS = {"train": 32, "valid": 8, "test": 8}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader stands: with the quickstart's model, after one epoch, a tagger of Flair's, posts and a picture."""
    folder = tmp_path_factory.mktemp("reader")
    posts = folder / "posts"
    posts.mkdir()
    for split, count in SPLITS.items():
        with open(posts / f"{split}.txt", "wb") as file:
            write_posts(list(read_posts(QUICKSTART / f"{split}.txt"))[:count], file)
    shutil.copytree(QUICKSTART / "images", posts / "images")
    shutil.copy(QUICKSTART / "captions.tsv", posts)
    with open(folder / "posts.jsonl", "wb") as file:
        write_jsonl_posts((post_sentence(post) for post in read_posts(posts / "test.txt")), file)
    (folder / "pictures").mkdir()
    for picture in ("durant.jpg", "pictures/7.jpg"):
        Image.new("RGB", (300, 200), "#556677").save(folder / picture)
    overrides = ["training.max_epochs=1", "seeds=[1]", f"corpus.folder={posts}"]
    overrides += [f"corpus.images={posts / 'images'}", f"corpus.captions={posts / 'captions.tsv'}"]
    sets = [argument for override in overrides for argument in ("--set", override)]
    assert main(["train", str(ROOT / "recipes" / "quickstart.yaml"), "--out", str(folder / "trained"), *sets]) == 0
    (model,) = (folder / "trained").glob("*/seed-1/model.pt")
    (folder / "espvr-quickstart").mkdir()
    shutil.copy(model, folder / "espvr-quickstart" / "model.pt")
    labels = Dictionary(add_unk=False)
    labels.add_item("PER")
    flair_tagger = SequenceTagger(
        FlairEmbeddings(LanguageModel(Dictionary(), True, 4, 1)), labels, "other", use_rnn=False
    )
    (folder / "flair-tagger").mkdir()
    flair_tagger.save(folder / "flair-tagger" / "model.pt")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "docs/serving.md":
        pytest.importorskip("gradio", reason="the demo extra (Gradio) is not installed")
    monkeypatch.chdir(folder)
    parsers = [SkipParser(), PythonCodeBlockParser(), CodeBlockParser(language="bash", evaluator=in_a_shell)]
    document = Sybil(parsers, path=str(ROOT)).parse(ROOT / page)
    examples = list(document.examples())
    assert examples
    for example in examples:
        example.evaluate()
    gc.collect()  # what Gradio leaves open would warn during another test


def in_a_shell(example: Example) -> None:
    """Run a block's commands, except those that install something, which `.ci/run` does."""
    commands = str(example.parsed)
    if "pip install" in commands:
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
