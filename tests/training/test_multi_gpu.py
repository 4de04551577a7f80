"""Training in several processes, shown with two on a CPU, where Flair's trainer would use GPUs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from flair.file_utils import Tqdm
from flair.trainers import trainer
from safetensors.torch import save_file
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm
from transformers import BertConfig, BertModel, BertTokenizerFast

from flair_espvr import ImageRegionEmbeddings, list_models
from flair_espvr.commands.main import main
from flair_espvr.errors import ConfigurationError, TrainingError
from flair_espvr.models.registry import model_class
from flair_espvr.training import multi_gpu

COMPARING = [name for name in list_models() if model_class(name).network_class.compares_posts]


@pytest.fixture(scope="module")
def results(
    tiny_bert: Path,
    region_embeddings: ImageRegionEmbeddings,
    pictures: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[dict[str, Any]]:
    """What two processes say that have trained all models."""
    folder = tmp_path_factory.mktemp("processes")
    encoder, checkpoint = folder / "encoder", folder / "swin.safetensors"
    BertTokenizerFast.from_pretrained(tiny_bert).save_pretrained(encoder)
    config = BertConfig.from_pretrained(tiny_bert, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    torch.manual_seed(1)
    BertModel(config).save_pretrained(encoder)
    save_file(region_embeddings.backbone_state(), checkpoint)
    command = [sys.executable, Path(__file__).with_name("two_processes.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [*command, str(rank), folder / "meeting", folder, encoder, checkpoint, *pictures],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in list_models() if name not in COMPARING])
def test_two_halves_of_a_batch_are_the_whole(results: list[dict[str, Any]], name: str) -> None:
    assert results[0][name]["difference"] < 1e-5
    assert results[0][name]["learned"] > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPARING)
def test_a_model_that_compares_the_posts_of_a_batch_refuses(results: list[dict[str, Any]], name: str) -> None:
    for said in results:
        assert "compares the posts of a batch with each other and has to see all of them at once" in said[name]


@pytest.mark.slow
def test_one_process_writes(results: list[dict[str, Any]]) -> None:
    assert results[0]["files"] == ["dev.tsv", "loss.tsv", "test.tsv"]
    assert results[1]["files"] == []


def test_a_recipe_on_several_gpus(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that a run does, in a group of one process."""
    arguments = ["train", str(recipe_path), "--out", str(tmp_path / "runs"), "--seed", "1", "--multi-gpu"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert main(arguments) == 1
    assert "multi_gpu: needs two GPUs or more, and this machine has 0" in capsys.readouterr().err

    def launch(work: Any, *given: Any) -> None:
        torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
        try:
            work(*given)
        finally:
            torch.distributed.destroy_process_group()

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(multi_gpu, "launch_distributed", launch)
    monkeypatch.setattr(
        trainer,
        "DistributedDataParallel",
        lambda model, device_ids, **options: DistributedDataParallel(model, **options),
    )
    assert main(arguments) == 0
    (folder,) = (tmp_path / "runs").glob("tiny-*/seed-1")
    assert {"model.pt", "scores.json", "curves.png", "training.log"} <= {path.name for path in folder.iterdir()}
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["training"]["multi_gpu"] is True
    assert main([*arguments, "--resume"]) == 1
    assert "cannot be resumed" in capsys.readouterr().err


def test_an_error_of_a_process_is_that_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(text: str) -> Any:
        def raise_it(*_: Any) -> None:
            raise ProcessRaisedException(text, error_index=1, error_pid=7)

        return raise_it

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    ours = "-- Process 1:\nTraceback ...\nflair_espvr.errors.TrainingError: epoch 1: the loss is nan\n  a post\n"
    monkeypatch.setattr(multi_gpu, "launch_distributed", launch(ours))
    with pytest.raises(TrainingError, match=r"^epoch 1: the loss is nan\n  a post$"):
        multi_gpu.on_all_gpus(print)
    monkeypatch.setattr(multi_gpu, "launch_distributed", launch("ValueError: something else"))
    with pytest.raises(ProcessRaisedException):
        multi_gpu.on_all_gpus(print)


def test_the_processes_show_no_bar_of_flair_s(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Tqdm, "tqdm", staticmethod(tqdm))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(multi_gpu, "launch_distributed", lambda work, *given: work(*given))
    multi_gpu.on_all_gpus(lambda: list(Tqdm.tqdm([1])))
    assert capsys.readouterr().err == ""


def test_a_batch_that_cannot_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_gpu, "processes", lambda: 3)
    assert multi_gpu.share_of_batch(12) == 4
    with pytest.raises(ConfigurationError, match="mini_batch_size=32: is that of all GPUs, and 3"):
        multi_gpu.share_of_batch(32)
