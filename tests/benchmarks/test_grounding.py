import argparse

import flair
import numpy as np
import pytest
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import HashEmbeddings
from PIL import Image

from benchmarks.drawn_objects import TYPE_WORDS
from benchmarks.grounding import CONFIGURATIONS, hyperparameters, read_corpus, shuffle_pictures, table
from benchmarks.pointing import pointing
from flair_espvr import ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.data.metadata import IMAGE, IMAGE_ID
from flair_espvr.models.registry import model_class
from synthetic.drawing import Box
from synthetic.scenes import read_boxes, write_scenes

EVERYWHERE = Box(0.0, 0.0, 1.0, 1.0)
NOWHERE = Box(2.0, 2.0, 3.0, 3.0)


def posts(count):
    sentences = []
    for number in range(count):
        sentence = Sentence(["Look", "at", "Velto", "Rasim"])
        sentence[2:4].add_label("ner", "PER")
        colour = tuple(np.random.default_rng(number).integers(0, 256, 3).tolist())
        sentence.add_metadata(IMAGE, Image.new("RGB", (32, 32), colour))
        sentence.add_metadata(IMAGE_ID, f"post_{number}")
        sentences.append(sentence)
    return sentences


def tagger(**arguments):
    flair.set_seed(0)
    dictionary = Dictionary(add_unk=False)
    dictionary.add_item("PER")
    swin = {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
    regions = ImageRegionEmbeddings(
        "swin_tiny_patch4_window7_224", image_size=64, pretrained=False, model_arguments=swin
    )
    model = ESPVRTagger(
        HashEmbeddings(embedding_length=8),
        dictionary,
        "ner",
        region_embeddings=regions,
        hidden_size=8,
        num_heads=2,
        num_layers=1,
        window=1,
        **arguments,
    )
    with torch.no_grad():  # every word an entity, for both CRFs
        model.network.span_emissions.bias.copy_(torch.tensor([-90.0, 90.0, 0.0]))
        model.network.tag_emissions.bias.copy_(torch.tensor([-90.0, 90.0, 0.0]))
    return model


@pytest.mark.parametrize(("box", "share"), [(EVERYWHERE, 100.0), (NOWHERE, 0.0)])
def test_pointing_counts_what_falls_into_the_box(box, share):
    sentences = posts(3)
    boxes = {f"post_{number}": box for number in range(3)}
    assert pointing(tagger(), sentences, boxes) == dict.fromkeys(("sentence", "touching", "entity", "window"), share)


def test_pointing_follows_where_the_tagger_says_it_looks():
    sentences = posts(4)
    model = tagger()
    model.eval()
    centers = model.position_regions(sentences).center.tolist()  # a 2 x 2 grid
    boxes = {}
    for number, center in enumerate(centers):
        left, top = (center % 2) / 2, (center // 2) / 2
        boxes[f"post_{number}"] = Box(left, top, left + 0.5, top + 0.5) if number else NOWHERE
    assert pointing(model, sentences, boxes)["sentence"] == pytest.approx(75.0)


def test_there_is_no_pointing_where_nothing_is_positioned():
    assert pointing(tagger(regions="all"), posts(2), {}) == {}


def test_shuffling_gives_every_post_the_picture_of_another():
    sentences = posts(7)
    before = [sentence.get_metadata(IMAGE_ID) for sentence in sentences]
    pictures = {sentence.get_metadata(IMAGE_ID): sentence.get_metadata(IMAGE) for sentence in sentences}
    shuffle_pictures(sentences, np.random.default_rng(1))
    after = [sentence.get_metadata(IMAGE_ID) for sentence in sentences]
    assert sorted(after) == sorted(before)
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert all(sentence.get_metadata(IMAGE) is pictures[sentence.get_metadata(IMAGE_ID)] for sentence in sentences)


def test_systems_that_read_objects_are_given_those_that_were_drawn(tmp_path):
    options = argparse.Namespace(corpus=write_scenes(tmp_path, train=2, valid=1, test=1))
    posts = list(read_corpus(options).get_all_sentences())
    boxes = read_boxes(tmp_path)
    found = {post.get_metadata("image_id"): post.get_metadata("objects") for post in posts}
    assert found.keys() == boxes.keys()
    assert all(Box(*thing.box) == boxes[name] for name, objects in found.items() for thing in objects)
    words = set(TYPE_WORDS.values())
    for system in ("mgcmt", "m3s"):
        assert set(hyperparameters(CONFIGURATIONS[system], options)["object_labels"]) == words
    assert set(model_class("umgf").config_class().type_words) == words
    assert hyperparameters(CONFIGURATIONS["hvpnet"], options) == {}


def test_the_table_has_a_row_for_each_configuration_that_was_run():
    results = [
        {"configuration": "none", "seed": 1, "f1": 20.0},
        {"configuration": "none", "seed": 2, "f1": 30.0},
        {
            "configuration": "hard",
            "seed": 1,
            "f1": 70.0,
            "sentence": 80.0,
            "touching": 90.0,
            "entity": 81.0,
            "window": 40.0,
            "step": 0.25,
            "predict": 3.1,
            "parameters": 1.5,
            "memory": 2048.3,
        },
    ]
    lines = table(results).splitlines()
    assert lines[2] == "| none | 2 | 25.0 ± 7.1 | - | - | - | - | - | - | - | - |"
    figures = "70.0 | 80.0 | 90.0 | 81.0 | 40.0 | 0.25 | 3.10 | 1.50 | 2048"
    assert lines[3] == f"| {CONFIGURATIONS['hard'].pictures} | 1 | {figures} |"
    assert len(lines) == 4
