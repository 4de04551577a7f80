"""A model in a package of its own, forty lines: recipe, training, kill, resume, table, prediction, page and export."""

import json
import os
import subprocess
import sys
import time
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

EXPORT = """
import sys
from flair.data import Sentence
from flair_espvr import MultimodalTagger, list_models
tagger = MultimodalTagger.load(sys.argv[1])
tagger.save_pretrained("export", include_backbone=True)
again = MultimodalTagger.from_pretrained("export")
post = Sentence("Ada in Rome")
again.predict(post)
print(type(again).__name__, list_models(), again.hyperparameters()["hidden_size"])
"""


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    """The command line in an environment where a package brings the toy."""
    assert len(TOY.strip().splitlines()) <= 40
    site = tmp_path / "site"
    site.mkdir()
    (site / "toy_model.py").write_text(TOY, encoding="utf-8")
    installed = site / "toy_model-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text("[flair_espvr.models]\ntoy = toy_model\n", encoding="utf-8")
    return [sys.executable, "-W", "ignore", "-m", "flair_espvr.commands.main"]


def test_everything_knows_it_at_once(
    program: list[str], recipe_path: Path, corpus_folder: Path, tmp_path: Path
) -> None:
    paths = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}

    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [*program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, done.stderr[-2000:]
        return done.stdout

    (corpus_folder / "images").mkdir()
    for number in range(12):
        Image.new("RGB", (40, 40), (20 * number, 90, 200)).save(corpus_folder / "images" / f"{number}.png")
    recipe = yaml.safe_load(recipe_path.read_text(encoding="utf-8"))
    recipe["corpus"]["images"] = "posts/images"
    recipe["model"] = {"type": "toy", "image_weight": 0.5}
    recipe["training"]["max_epochs"] = 40
    recipe["seeds"] = [1]
    recipe["regions"] = {"model": "resnet10t", "image_size": 32, "checkpoint": str(small_backbone(tmp_path))}
    recipe_path.write_text(yaml.safe_dump(recipe), encoding="utf-8")

    assert "no mistakes" in run("recipe", "check", "tiny.yaml")
    mistake = run("recipe", "check", "tiny.yaml", "--set", "model.image_wieght=1", code=1)
    assert "no mistakes" not in mistake

    command = [*program, "train", "tiny.yaml"]
    training = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/tiny-*/seed-1/training-state.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    training.kill()
    training.wait()
    (folder,) = tmp_path.glob("runs/tiny-*/seed-1")
    assert not (folder / "scores.json").exists()
    run("train", "tiny.yaml")
    assert "Going on after epoch" in (folder / "training.log").read_text(encoding="utf-8")

    rows = [{"title": "toy", "cells": {"here": {"recipe": "tiny.yaml"}}}]
    table = {"title": "Toy", "types": ["PER", "LOC"], "groups": ["here"], "rows": rows}
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    assert "| toy | ours, 1 seed |" in run("table", "table.yaml")

    model = str(folder / "model.pt")
    tagged = run("predict", model, "posts/test.txt", "--images", "posts/images").splitlines()
    assert json.loads(tagged[0])["tokens"] == ["Ada", "in", "Rome"]
    run("predict", model, "posts", "--out", "page.html")
    assert "Ada" in (tmp_path / "page.html").read_text(encoding="utf-8")
    exported = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXPORT, model],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert exported.stdout.strip().splitlines()[-1] == f"ToyTagger {sorted([*list_models(), 'toy'])} 8"


def small_backbone(folder: Path) -> Path:
    """Random weights of a small ResNet, in a file."""
    path = folder / "resnet10t.safetensors"
    save_file(timm.create_model("resnet10t", pretrained=False).state_dict(), path)
    return path
