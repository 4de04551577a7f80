import argparse
from pathlib import Path

import flair
import numpy as np
import pytest
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import HashEmbeddings
from PIL import Image

from benchmarks.grounding import object_words, read_corpus
from benchmarks.noisy_objects import TYPE_WORDS
from benchmarks.pointing import pointing
from benchmarks.systems import CONFIGURATIONS, hyperparameters
from benchmarks.told import MADE_UP
from benchmarks.training import run_settings
from flair_espvr import ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.data.metadata import IMAGE, IMAGE_ID
from flair_espvr.models.registry import model_class
from synthetic.drawing import Box
from synthetic.scenes import read_boxes, write_scenes
from synthetic.sentences import TYPED

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


def test_where_each_entity_has_a_window_there_is_none_of_the_sentence():
    boxes = {f"post_{number}": EVERYWHERE for number in range(3)}
    assert pointing(tagger(window_of="entity"), posts(3), boxes) == {"entity": 100.0, "window": 100.0}


def test_there_is_no_pointing_where_nothing_is_positioned():
    assert pointing(tagger(regions="all"), posts(2), {}) == {}


def test_systems_that_read_objects_are_given_those_that_were_drawn(tmp_path):
    options = argparse.Namespace(posts=None, corpus=write_scenes(tmp_path, train=2, valid=1, test=1))
    corpus = read_corpus(options)
    posts = list(corpus.get_all_sentences())
    boxes = read_boxes(tmp_path)
    found = {post.get_metadata("image_id"): post.get_metadata("objects") for post in posts}
    assert found.keys() == boxes.keys()
    assert all(Box(*thing.box) == boxes[name] for name, objects in found.items() for thing in objects)
    words = object_words(corpus, options)
    assert words == list(TYPE_WORDS.values())
    for system in ("mgcmt", "m3s"):
        assert hyperparameters(CONFIGURATIONS[system], options, words) == {"object_labels": tuple(words)}
    assert set(model_class("umgf").config_class().type_words) == set(words)
    for system in ("umgf", "hvpnet"):
        assert hyperparameters(CONFIGURATIONS[system], options, words) == {}
    assert hyperparameters(CONFIGURATIONS["umgf"], options, ["a", "b"]) == {"type_words": ("a", "b")}


def test_only_the_first_name_of_a_drawn_post_is_made_up(tmp_path):
    folder = write_scenes(tmp_path, train=5, valid=1, test=1, typed_share=1.0, plain_share=0.3)
    known = {name for _, _, examples in TYPED for name in examples}
    counts = set()
    for post in read_corpus(argparse.Namespace(posts=None, corpus=folder)).get_all_sentences():
        names = [span.text for span in post.get_spans("ner")]
        assert [name in known for name in names] == [place >= post.get_metadata(MADE_UP) for place in range(len(names))]
        counts.add(len(names))
    assert counts == {0, 2}


def test_settings_name_the_posts_only_where_they_are_given():
    given = {"cache": Path("cache"), "seeds": [1], "encoder": "a/model", "checkpoint": None, "epochs": 6}
    settings = {"encoder": "model", "epochs": 6}
    assert run_settings(argparse.Namespace(posts=None, **given)) == settings  # those of runs from before
    assert run_settings(argparse.Namespace(posts=Path("b/photos"), **given)) == {**settings, "posts": "photos"}
