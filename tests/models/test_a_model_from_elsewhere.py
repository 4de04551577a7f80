"""A model in a package of its own, forty lines: recipe, training, kill, resume, table, prediction, page and export."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import yaml
from PIL import Image
from safetensors.torch import save_file

from flair_espvr import list_models

TOY = '''
"""Tags each word by its vector and the whole image: what a newcomer would try first."""

import torch

from flair_espvr import MultimodalTagger, register_model
from flair_espvr.nn import ImageFeatures, LinearChainCRF, ModelConfig, Network, NetworkOutput


class ToyConfig(ModelConfig):
    hidden_size: int = 8
    image_weight: float = 1.0


class ToyNetwork(Network[NetworkOutput]):
    def __init__(self, config, *, word_size, region_size, labels):
        super().__init__(labels=labels)
        self.config = config
        self.words = torch.nn.Linear(word_size, config.hidden_size)
        self.image = torch.nn.Linear(region_size, config.hidden_size)
        self.emissions = torch.nn.Linear(config.hidden_size, len(labels))
        self.tag_crf = LinearChainCRF(labels)

    def forward(self, words, mask, images: ImageFeatures | None, **_):
        hidden = self.words(words)
        if images is not None:
            seen = self.image(images.pooled) * images.present[:, None]
            hidden = hidden + self.config.image_weight * seen[:, None]
        return NetworkOutput(self.emissions(hidden.tanh()), mask)

    def losses(self, output, tags):
        return {"tags": self.tag_crf.loss(output.emissions, tags, output.mask)}


@register_model("toy")
class ToyTagger(MultimodalTagger):
    config_class, network_class = ToyConfig, ToyNetwork
'''

TRAIN_AND_DIE = """
import os
import signal
import sys
from flair_espvr.commands.main import main
from toy_model import ToyNetwork

losses, left = ToyNetwork.losses, 9  # of four epochs of three batches, with an evaluation each

def dying(*arguments):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return losses(*arguments)

ToyNetwork.losses = dying
sys.exit(main(["train", "tiny.yaml"]))
"""

COMMANDS = """
import contextlib
import io
import json
import sys
from flair_espvr.commands.main import main

for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main(arguments)
    print(json.dumps([code, printed.getvalue()]), flush=True)

from flair.data import Sentence
from flair_espvr import MultimodalTagger, list_models

tagger = MultimodalTagger.load(sys.argv[2])
tagger.save_pretrained("export", include_backbone=True)
again = MultimodalTagger.from_pretrained("export")
again.predict(Sentence("Ada in Rome"))
print(json.dumps([type(again).__name__, list_models(), again.hyperparameters()["hidden_size"]]))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which a package brings the toy."""
    assert len(TOY.strip().splitlines()) <= 40
    site = tmp_path / "site"
    site.mkdir()
    (site / "toy_model.py").write_text(TOY, encoding="utf-8")
    installed = site / "toy_model-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text("[flair_espvr.models]\ntoy = toy_model\n", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "OMP_NUM_THREADS": "1"}


def test_everything_knows_it_at_once(
    environment: dict[str, str], recipe_path: Path, corpus_folder: Path, tmp_path: Path
) -> None:
    """Two processes: to import Flair takes longer than all that is done here."""

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "-c", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    (corpus_folder / "images").mkdir()
    for number in range(12):
        Image.new("RGB", (40, 40), (20 * number, 90, 200)).save(corpus_folder / "images" / f"{number}.png")
    recipe = yaml.safe_load(recipe_path.read_text(encoding="utf-8"))
    recipe["corpus"]["images"] = "posts/images"
    recipe["model"] = {"type": "toy", "image_weight": 0.5}
    recipe["training"]["max_epochs"] = 4
    recipe["seeds"] = [1]
    recipe["regions"] = {"model": "resnet10t", "image_size": 32, "checkpoint": str(small_backbone(tmp_path))}
    recipe_path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    rows = [{"title": "toy", "cells": {"here": {"recipe": "tiny.yaml"}}}]
    table = {"title": "Toy", "types": ["PER", "LOC"], "groups": ["here"], "rows": rows}
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")

    died = python(TRAIN_AND_DIE)
    assert died.returncode == -signal.SIGKILL, died.stderr[-2000:]
    (folder,) = tmp_path.glob("runs/tiny-*/seed-1")
    assert (folder / "training-state.pt").exists()
    assert not (folder / "scores.json").exists()

    model = str(folder / "model.pt")
    commands = [
        ["recipe", "check", "tiny.yaml"],
        ["recipe", "check", "tiny.yaml", "--set", "model.image_wieght=1"],
        ["train", "tiny.yaml"],
        ["table", "table.yaml"],
        ["predict", model, "posts/test.txt", "--images", "posts/images", "--out", "tagged.jsonl"],
        ["predict", model, "posts", "--out", "page.html"],
    ]
    done = python(COMMANDS, json.dumps(commands), model)
    assert done.returncode == 0, done.stderr[-2000:]
    *answers, exported = map(json.loads, done.stdout.splitlines())
    assert [code for code, _ in answers] == [0, 1, 0, 0, 0, 0], done.stderr[-2000:]
    checked, mistaken, _, printed, *_ = (text for _, text in answers)
    assert "no mistakes" in checked
    assert "no mistakes" not in mistaken
    assert "Going on after epoch" in (folder / "training.log").read_text(encoding="utf-8")
    assert "| toy | ours, 1 seed |" in printed
    first, *_ = (tmp_path / "tagged.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(first)["tokens"] == ["Ada", "in", "Rome"]
    assert "Ada" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert exported == ["ToyTagger", sorted([*list_models(), "toy"]), 8]


def small_backbone(folder: Path) -> Path:
    """Random weights of a small ResNet, in a file."""
    path = folder / "resnet10t.safetensors"
    save_file(timm.create_model("resnet10t", pretrained=False).state_dict(), path)
    return path
