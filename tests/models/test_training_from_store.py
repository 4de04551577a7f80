"""Trainings read a region store that another process adds to; some ten seconds on an idle machine."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import flair
import numpy as np
import torch
from flair.data import Corpus, Sentence
from flair.trainers import ModelTrainer

from flair_espvr import ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.images.loading import KEY_BYTES
from flair_espvr.images.store.region_store import RegionStore

FORK = multiprocessing.get_context("fork")


def train(
    build: Callable[..., ESPVRTagger], corpus: Corpus[Sentence], regions: ImageRegionEmbeddings, folder: Path
) -> None:
    """Trains with regions from their store and leaves the weights, the losses, and how many pictures the store had."""
    torch.set_num_threads(1)  # OpenMP's threads stay behind in the parent: a child that counts on them waits for ever
    flair.set_seed(1)
    store = RegionStore(regions.to_params()["store"])
    before = len(store)
    tagger = build(region_embeddings=regions)
    ModelTrainer(tagger, corpus).fine_tune(
        folder, max_epochs=4, mini_batch_size=2, learning_rate=1e-3, save_final_model=False
    )
    losses = [line.split("\t")[3] for line in (folder / "loss.tsv").read_text().splitlines()]
    torch.save({"weights": tagger.state_dict(), "losses": losses, "pictures": [before, len(store)]}, folder / "end.pt")


def test_two_trainings_beside_a_writer_end_as_one_that_is_alone(build, corpus, region_embeddings, tmp_path):
    arguments = {
        "checkpoint": region_embeddings.checkpoint,
        "image_size": region_embeddings.image_size,
        "model_arguments": region_embeddings.model_arguments,
    }
    folder = tmp_path / "store"
    ImageRegionEmbeddings(region_embeddings.model, store=folder, **arguments).regions(list(corpus.get_all_sentences()))
    RegionStore(folder).close()

    def training(name: str) -> multiprocessing.process.BaseProcess:
        regions = ImageRegionEmbeddings(region_embeddings.model, store=folder, read_only=True, **arguments)
        process = FORK.Process(target=train, args=(build, corpus, regions, tmp_path / name))
        process.start()
        return process

    training("alone").join()
    alone = torch.load(tmp_path / "alone" / "end.pt")

    rng = np.random.default_rng(0)
    with RegionStore(folder, header=region_embeddings.header, writable=True) as writer:
        trainings = [training("first"), training("second")]
        while any(process.is_alive() for process in trainings):
            writer.put_many({rng.bytes(KEY_BYTES): rng.standard_normal(writer.header.shape) for _ in range(8)})

    for name in ("first", "second"):
        beside = torch.load(tmp_path / name / "end.pt")
        assert beside["pictures"][1] > beside["pictures"][0] + 8
        assert beside["losses"] == alone["losses"]
        assert beside["weights"].keys() == alone["weights"].keys()
        for weight, tensor in alone["weights"].items():
            assert torch.equal(beside["weights"][weight], tensor), weight
    assert alone["pictures"] == [4, 4]
    assert RegionStore(folder).verify() == []
