import argparse
import io
import json
import multiprocessing
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from flair_espvr.commands import regions
from flair_espvr.embeddings.image.backbone import Backbone
from flair_espvr.embeddings.image.extraction import extract_regions
from flair_espvr.errors import ConfigurationError, RegionStoreError
from flair_espvr.images.folder import find_images
from flair_espvr.images.loading import content_key
from flair_espvr.images.store.region_store import RegionStore

CPU = torch.device("cpu")
FORK = multiprocessing.get_context("fork")


def save_picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve pictures, a copy, three files that are no pictures but claim to be, and texts."""
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(12):
        save_picture(folder / "images" / f"{seed:02}{'.png' if seed % 2 else '.jpg'}", seed)
    (folder / "images" / "copy.jpg").write_bytes((folder / "images" / "01.png").read_bytes())
    (folder / "images" / "no_suffix").write_bytes((folder / "images" / "03.png").read_bytes())
    (folder / "images" / "text.jpg").write_text("404 Not Found")
    (folder / "images" / "empty.png").touch()
    (folder / "images" / "cut.png").write_bytes((folder / "images" / "05.png").read_bytes()[:300])
    (folder / "train.txt").write_text("IMGID:1\nKevin\tB-PER\n")
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


@pytest.fixture
def command(checkpoint):
    def run(*arguments: object) -> int:
        parser = argparse.ArgumentParser()
        regions.add_arguments(parser)
        return regions.run(parser.parse_args([str(argument) for argument in arguments]))

    def run_with_backbone(folder: object, store: object, *arguments: object) -> int:
        backbone = ("--backbone", "test_resnet", "--checkpoint", checkpoint, "--image-size", 64, "--device", "cpu")
        return run(folder, "--store", store, "--workers", 0, *backbone, *arguments)

    run.extract = run_with_backbone
    return run


def content(folder: Path) -> dict[bytes, bytes]:
    store = RegionStore(folder)
    keys = list(store.keys())
    return {key: value.tobytes() for key, value in zip(keys, store.get_many(keys)[0], strict=True)}


def test_a_corpus_goes_into_the_store_and_bad_pictures_are_listed(corpus, tmp_path, command, capsys):
    assert command.extract(corpus, tmp_path / "store") == 3
    output = capsys.readouterr()
    assert "Added 12, there before 0, copies 2, of other shards 0, bad 3." in output.out
    for name, reason in (("text.jpg", "not a picture"), ("empty.png", "is empty"), ("cut.png", "truncated")):
        assert any(name in line and reason in line for line in output.err.splitlines())
    assert "train.txt" not in output.err
    expected = {content_key(path) for path in corpus.glob("images/[01]*")}
    assert set(content(tmp_path / "store")) == expected
    assert command.extract(corpus, tmp_path / "store", "--bad-list", tmp_path / "bad.jsonl") == 3
    assert "Added 0, there before 12" in capsys.readouterr().out
    bad = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert {record["picture"] for record in bad} == {
        str(corpus / "images" / name) for name in ("text.jpg", "empty.png", "cut.png")
    }


def test_parts_on_a_cluster_are_merged(corpus, tmp_path, command, monkeypatch, capsys):
    """Without the cluster: its tasks are called one after the other."""
    asked = []

    def on_cluster(work, jobs, **options):
        asked.append((len(jobs), options))
        assert (tmp_path / "store").exists() == (len(asked) > 1)
        return map(work, jobs)

    monkeypatch.setattr("flair_espvr.tagging.backends.ray.on_cluster", on_cluster)
    command.extract(corpus, tmp_path / "one")
    capsys.readouterr()
    assert command.extract(corpus, tmp_path / "store", "--workers", 3, "--ray", "auto") == 3
    assert f"{tmp_path / 'store'}: 12 pictures." in capsys.readouterr().out
    assert command.extract(corpus, tmp_path / "store", "--workers", 2, "--ray") == 3
    assert "12 pictures. Added 0, there before 1" in capsys.readouterr().out
    assert asked[0] == (3, {"address": "auto", "workers": 3, "gpus_per_worker": 0})
    ours, theirs = content(tmp_path / "store"), content(tmp_path / "one")
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():  # other batches, other last bits
        features, others = (np.frombuffer(stored, np.float16) for stored in (value, theirs[key]))
        np.testing.assert_allclose(features, others, atol=1e-2, rtol=1e-2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "store"]


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_workers_of_a_cluster_fill_the_store_that_one_process_fills(corpus, tmp_path, command, capsys):
    command.extract(corpus, tmp_path / "one")
    capsys.readouterr()
    assert command.extract(corpus, tmp_path / "store", "--workers", 2, "--ray") == 3
    printed = capsys.readouterr()
    assert f"{tmp_path / 'store'}: 12 pictures." in printed.out
    assert "bad 3" in printed.out
    ours, theirs = content(tmp_path / "store"), content(tmp_path / "one")
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():  # other batches, other last bits
        features, others = (np.frombuffer(stored, np.float16) for stored in (value, theirs[key]))
        np.testing.assert_allclose(features, others, atol=1e-2, rtol=1e-2)
    assert RegionStore(tmp_path / "store").verify() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "store"]


def test_without_bad_pictures_all_is_well(tmp_path, command):
    save_picture(tmp_path / "pictures" / "a.png", 1)
    assert command.extract(tmp_path / "pictures", tmp_path / "store") == 0


def test_workers_and_batches_change_nothing(corpus, tmp_path, command):
    command.extract(corpus, tmp_path / "one", "--batch-size", 1)
    command.extract(corpus, tmp_path / "two", "--batch-size", 5, "--workers", 2)
    one, two = content(tmp_path / "one"), content(tmp_path / "two")
    assert one.keys() == two.keys()
    for key in one:
        pair = (np.frombuffer(store[key], dtype=np.float16).astype(float) for store in (one, two))
        np.testing.assert_allclose(*pair, atol=4e-3, rtol=4e-3)


def test_shards_are_a_partition_and_merge_to_the_whole(corpus, tmp_path, command, capsys):
    stores = [tmp_path / f"part{part}" for part in (1, 2, 3)]
    for part, store in enumerate(stores, start=1):
        command.extract(corpus, store, "--shard", f"{part}/3", "--batch-size", 1)
    assert sum(len(RegionStore(store)) for store in stores) == 12
    assert command("merge", tmp_path / "merged", *stores) == 0
    command.extract(corpus, tmp_path / "whole", "--batch-size", 1)
    assert content(tmp_path / "merged") == content(tmp_path / "whole")
    assert "12 pictures" in capsys.readouterr().out


def test_verify_and_info(corpus, tmp_path, command, capsys):
    command.extract(corpus, tmp_path / "store")
    capsys.readouterr()
    assert command("verify", tmp_path / "store") == 0
    assert "12 pictures, 0 of them damaged" in capsys.readouterr().out
    assert command("info", tmp_path / "store") == 0
    information = json.loads(capsys.readouterr().out)
    assert (information["model"], information["pictures"], information["image_size"]) == ("test_resnet", 12, 64)
    store = RegionStore(tmp_path / "store", writable=True)
    bad = store._encoded(bytes(16), np.zeros(store.header.shape))[:-1] + b"\1"
    store._write({bytes(16): bad})
    assert command("verify", tmp_path / "store") == 3
    assert "checksum" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere", "--store", "s"], "no such folder"),
        ([".", "more", "--store", "s"], "expected one folder"),
        (["."], "expected one folder, or posts, and --store"),
        ([".", "--store", "s", "--workers", "-1"], "--workers"),
        ([".", "--store", "s", "--batch-size", "0"], "--batch-size"),
        ([".", "--store", "s", "--device", "abacus"], "abacus"),
        ([".", "--store", "s"], "no pictures there"),
    ],
)
def test_mistakes_are_explained(arguments, message, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        command(*arguments)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2", "1/2/3", "²/3"])
def test_shards_that_are_none(shard, command, capsys):
    with pytest.raises(SystemExit):
        command(".", "--store", "s", f"--shard={shard}")
    assert "should be I/N" in capsys.readouterr().err


def test_a_store_of_another_backbone_is_refused(corpus, tmp_path, command):
    command.extract(corpus, tmp_path / "store")
    with pytest.raises(RegionStoreError, match=r"image_size is 64 .* 96 "):
        command.extract(corpus, tmp_path / "store", "--image-size", 96)


def test_pictures_are_found_through_links_without_going_round(tmp_path):
    save_picture(tmp_path / "real" / "a.png", 1)
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "images").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert [path.name for path in find_images(folder)] == ["a.png"]


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return Backbone("test_resnet", image_size=64, pretrained=False)


def extract(paths: list[Path], folder: Path, backbone: Backbone) -> None:
    with RegionStore(folder, header=backbone.header, writable=True) as store:
        extract_regions(paths, store, backbone, device=CPU, workers=0, batch_size=1, progress=False)


def extract_in_fork(paths: list[Path], folder: Path, backbone: Backbone) -> None:
    torch.set_num_threads(1)  # OpenMP's threads stay behind in the parent: a child that counts on them waits for ever
    extract(paths, folder, backbone)


def test_killed_at_any_moment_an_extraction_loses_nothing_and_is_resumed(tmp_path, backbone):
    for seed in range(120):
        save_picture(tmp_path / "pictures" / f"{seed}.png", seed)
    paths = find_images(tmp_path / "pictures")
    RegionStore(tmp_path / "store", header=backbone.header, writable=True).close()
    reader, before = RegionStore(tmp_path / "store"), 0
    for stop in sorted(random.Random(0).sample(range(1, 110), 10)):
        run = FORK.Process(target=extract_in_fork, args=(paths, tmp_path / "store", backbone))
        run.start()
        while len(reader) < stop and run.is_alive():
            os.sched_yield()
        run.kill()
        run.join()
        assert run.exitcode == -signal.SIGKILL
        assert len(reader) >= max(stop, before)
        before = len(reader)
        assert reader.verify() == []
    reader.close()
    extract(paths, tmp_path / "store", backbone)
    extract(paths, tmp_path / "one_go", backbone)
    assert content(tmp_path / "store") == content(tmp_path / "one_go")
    assert len(reader) == 120


def test_a_file_that_changes_while_it_is_worked_on_is_stored_under_what_was_read(tmp_path, backbone, monkeypatch):
    path = tmp_path / "a.png"
    save_picture(path, 1)
    other = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(other, "PNG")

    def key_then_change(path: Path) -> bytes:
        key = content_key(path.read_bytes())
        path.write_bytes(other.getvalue())
        return key

    monkeypatch.setattr("flair_espvr.embeddings.image.extraction.key_or_error", key_then_change)
    extract([path], tmp_path / "store", backbone)
    assert set(content(tmp_path / "store")) == {content_key(other.getvalue())}


def test_the_pictures_of_posts_and_no_others(command, corpus, tmp_path):
    """By name in JSONL, else by image id; a post whose picture is not there is reported."""
    posts = tmp_path / "posts.jsonl"
    named = os.path.relpath(corpus / "images" / "03.png", tmp_path)
    records = [{"text": "one", "image": named}, {"text": "two", "id": "05"}, {"text": "three", "id": "absent"}]
    posts.write_text("".join(json.dumps(record) + "\n" for record in records))
    store = tmp_path / "store"
    assert command.extract(posts, store, "--images", corpus / "images") == 0
    assert len(RegionStore(store)) == 2
    for name in ("03.png", "05.png"):
        assert content_key(corpus / "images" / name) in RegionStore(store)
    posts.write_text(json.dumps({"text": "four", "image": "nowhere.png"}) + "\n" + posts.read_text())
    bad = tmp_path / "bad.txt"
    assert command.extract(posts, store, "--images", corpus / "images", "--bad-list", bad) == 3
    assert "nowhere" in bad.read_text()
