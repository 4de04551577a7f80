import argparse
import json

import numpy as np
import pytest
import torch

from benchmarks import grounded
from benchmarks.blind_places import best_constant_box, best_rectangle, blind_scores, ceiling_scores
from benchmarks.grounded import (
    CONFIGURATIONS,
    columns,
    gold_of,
    grounded_corpus,
    main,
    measure,
    table,
    titled,
    truth_table,
)
from benchmarks.grounded_posts import with_other_pictures, without_regions
from benchmarks.head_alone import HeadAlone
from flair_espvr.data.formats.jsonl_sentences import read_jsonl_sentences
from flair_espvr.data.metadata import IMAGE, REGIONS
from flair_espvr.data.region import Region
from flair_espvr.evaluation.grounding import GoldEntity
from flair_espvr.nn.features import ImageFeatures


def record(number, type_, words, *, start, regions):
    entities = [{"start": start, "end": len(words), "type": type_, "regions": regions}]
    return {"id": str(number), "tokens": words, "image": f"{number}.jpg", "entities": entities}


@pytest.fixture
def folder(tmp_path):
    posts = [
        record(0, "PEOPLE", ["a", "tall", "man"], start=1, regions=[[0.0, 0.0, 0.5, 0.5]]),
        record(1, "ANIMALS", ["this", "brown", "dog"], start=1, regions=[[0.5, 0.5, 1.0, 1.0]]),
        record(2, "ANIMALS", ["two", "other", "cats"], start=0, regions=[[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0]]),
        record(3, "OTHER", ["the", "brown", "roof"], start=1, regions=[[0.4, 0.4, 0.9, 0.9]]),
    ]
    for number in range(4):
        (tmp_path / f"{number}.jpg").touch()
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, posts)), encoding="utf-8")
    return tmp_path


@pytest.fixture
def posts(folder):
    return list(read_jsonl_sentences(folder / "test.jsonl"))


def test_the_best_constant_box_is_right_for_the_most():
    corner, rest = Region(0.0, 0.0, 0.3, 0.3), Region(0.3, 0.3, 1.0, 1.0)
    entities = [GoldEntity(0, 1, "PER", regions) for regions in [(rest,), (corner, rest), (rest,), ()]]
    assert best_constant_box(entities).iou(rest) > 0.5


@pytest.mark.parametrize("side", [3, 12])
def test_the_best_rectangle_of_a_grid_is_the_best_of_all(side):
    rng = np.random.default_rng(side)
    edges = np.arange(side + 1) / side
    pairs = [(low, high) for place, low in enumerate(edges) for high in edges[place + 1 :]]
    for _ in range(3):
        (left, right), (top, bottom) = np.sort(rng.random((2, 2)), axis=1).tolist()
        region = Region(left, top, right, bottom)
        found = best_rectangle(GoldEntity(0, 1, "PER", (region,)), side)
        best = max(Region(x[0], y[0], x[1], y[1]).iou(region) for x in pairs for y in pairs)
        assert found.iou(region) == pytest.approx(best)


def test_blind_answers_and_ceilings_are_scored_like_any_other(posts):
    gold = gold_of(posts)
    blind = blind_scores(gold, gold)
    assert blind["always none"].eeg.f1 == 0
    assert (blind["whole picture"].places.pointing, blind["whole picture"].eeg.f1) == (1.0, 0.0)
    assert blind["best constant box"].eeg.f1 == pytest.approx(0.75)
    ceilings = ceiling_scores(gold, [2, 10])
    assert ceilings["best rectangle of 2 x 2"].eeg.f1 == pytest.approx(0.75)  # the last box fits no four cells
    assert ceilings["perfect map of 10 x 10"].places.mean_iou == pytest.approx(1.0)


def test_other_pictures_are_of_posts_that_share_nothing(posts):
    copies = with_other_pictures(posts, np.random.default_rng(0))
    givers = {copy.text: copy.get_metadata(IMAGE).split("/")[-1] for copy in copies}
    assert givers["a tall man"] in {"1.jpg", "2.jpg", "3.jpg"}
    assert givers["this brown dog"] == "0.jpg"  # not 2, of its type, and not 3, of one of its words
    assert all(label.metadata[REGIONS] == () for copy in copies for label in copy.get_labels("ner"))
    assert all(label.metadata[REGIONS] for post in posts for label in post.get_labels("ner"))


def test_regions_are_taken_off(posts):
    labels = [label for post in without_regions(posts) for label in post.get_labels("ner")]
    assert len(labels) == 4
    assert not any(REGIONS in label.metadata for label in labels)


def test_measures_are_those_of_what_was_found(posts):
    answers = [
        {"region": Region(0, 0, 0.5, 0.5, 0.75), "grounded": 0.9},
        {"grounded": 0.25},
        {"region": Region(0, 0, 1, 1, 0.5), "grounded": 0.8},
    ]
    for post, answer in zip(posts, answers, strict=False):
        (span,) = post.get_spans("ner")
        span.add_label("predicted", span.tag, **answer)
    others = with_other_pictures(posts[:2], np.random.default_rng(0))
    for other in others:
        (span,) = other.get_spans("ner")
        span.add_label("predicted", span.tag, grounded=0.1)
    measured = measure(posts, others)
    assert measured["f1"] == pytest.approx(100 * 2 * 3 / 7)
    assert measured["gmner"] == pytest.approx(100 * 2 / 7)
    assert (measured["none"], measured["half"], measured["precision"]) == (0.0, pytest.approx(100 / 3), 100.0)
    assert measured["grounded"] == [(0.9, True), (0.25, True), (0.8, True), (0.1, False), (0.1, False)]
    assert measured["places"] == [(0.75, True), None, (0.5, False), None, None]
    assert measured["types"]["ANIMALS"] == [2, 50.0, 0.0]


def test_tables_have_a_row_for_each_answer_and_configuration(posts):
    gold = gold_of(posts)
    scores = columns(blind_scores(gold, gold)["whole picture"])
    measured = {**scores, "none": 1.5, "precision": None, "grounded": [(0.5, True)] * 20}
    raw = {**measured, "places": [(0.4, True), (0.2, False), None]}
    calibrated = {**measured, "places": [(0.6, True), None, (0.3, True)]}
    settings = {"epochs": 8, "batch_size": 8, "head_epochs": 20}
    run = {"backbone": "efficientnet", "grid": 12, "configuration": "boxes", "settings": settings}
    run |= {"raw": raw, "calibrated": calibrated}
    rows = titled([{**run, "seed": 1}, {**run, "seed": 2}], settings)
    lines = table(rows, blind_scores(gold, gold)).splitlines()
    assert lines[3].startswith("| whole picture | - | 100.0 |")
    assert lines[-1].startswith(f"| **EfficientNet 12 x 12, {CONFIGURATIONS['boxes'].title}** | 2 | 100.0 ± 0.0 |")
    assert lines[-1].endswith("| - |")
    truth = truth_table([run]).splitlines()
    assert truth[2] == "| `grounded`, raw | 1 | 20 | 0.500 | 1.000 | 0.500 | 0.250 |"
    assert truth[4] == "| `Region.score`, raw | 1 | 1 | 0.400 | 1.000 | 0.600 | 0.360 |"
    assert truth[5] == "| `Region.score`, calibrated | 1 | 1 | 0.600 | 1.000 | 0.400 | 0.160 |"
    assert "| 0.3 to 0.5 | 20 | 0.500 | 1.000 |" in truth


def test_runs_of_other_settings_are_rows_of_their_own():
    settings = {"epochs": 8, "batch_size": 8, "head_epochs": 20}
    kinds = [("head", 12, {"epochs": 6, "head_epochs": 15}), ("none", 24, {"epochs": 12}), ("none", 24, {})]
    runs = [
        {"backbone": "efficientnet", "grid": grid, "configuration": name, "settings": {**settings, **other}}
        for name, grid, other in [*kinds, ("boxes", 24, {"head_epochs": 15}), ("none", 24, {})]
    ]
    runs += [{**runs[0], "backbone": "efficientnet-stages"}]
    runs += [{**runs[0], "settings": {**settings, "encoder": "other"}}]
    assert {title: len(rows) for title, rows in titled(runs, settings).items()} == {
        "**EfficientNet 12 x 12, the head alone**, encoder=other": 1,
        "**EfficientNet 12 x 12, the head alone**, head_epochs=15": 1,
        "**EfficientNet (two stages) 12 x 12, the head alone**, head_epochs=15": 1,
        "**EfficientNet 24 x 24, with boxes**": 1,
        "**EfficientNet 24 x 24, without boxes**": 2,
        "**EfficientNet 24 x 24, without boxes**, epochs=12": 1,
    }


def test_a_run_that_has_ended_is_not_done_again(folder, monkeypatch, capsys):
    calls = []

    def missing(results, settings, wanted, run, options):
        calls.extend(wanted)

    monkeypatch.setattr(grounded, "do_missing_runs", missing)
    monkeypatch.setattr(grounded, "encode_images", lambda *_: None)
    monkeypatch.setattr(grounded, "regions_of", lambda *_: None)
    files = ["--encoder", "x", "--efficientnet", "y"]
    main([str(folder / "cache"), "--corpora", str(folder), "--seeds", "1", "2", *files])
    assert [(call["seed"], call["configuration"]) for call in calls] == [
        (seed, name) for seed in (1, 2) for name in ("boxes", "none")
    ]
    assert "| best constant box |" in capsys.readouterr().out


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_head_alone_learns_where_and_whether(folder, posts, share):
    """Regions that say by a number of their own whether they show the entity; of a post with others, none does."""
    torch.manual_seed(0)

    class Words:
        embedding_length = 4

        def embed_batch(self, sentences):
            return torch.ones(len(sentences), 3, 4)

    class Regions:
        embedding_length = 5
        grid = (4, 4)

        def regions(self, sentences):
            vectors = torch.randn(len(sentences), 16, 5)
            for row, sentence in enumerate(sentences):
                for region in sentence.get_spans("ner")[0].get_label("ner").metadata[REGIONS]:
                    for cell in range(16):
                        x, y = (cell % 4 + 0.5) / 4, (cell // 4 + 0.5) / 4
                        vectors[row, cell, 0] += 8 * region.holds(x, y)
            present = torch.ones(len(sentences), dtype=torch.bool)
            return ImageFeatures(vectors, vectors.mean(dim=1), present, (4, 4), len(sentences))

    posts = posts[:2] + (with_other_pictures(posts[:2], np.random.default_rng(0)) if share else [])
    head = HeadAlone(Words(), Regions(), ["ANIMALS", "PEOPLE"])
    head.fit(posts, epochs=60, batch_size=4, learning_rate=0.02)
    head.calibrate(posts)
    head.predict(posts, label_name="predicted")
    measured = measure(posts[:2], posts[2:])
    assert (measured["f1"], measured["eeg"], measured["half"]) == (100.0, 100.0, 100.0)
    assert measured["precision"] == (100.0 if share else None)


def test_posts_that_show_all_they_name_also_get_other_pictures(folder):
    corpus = grounded_corpus(str(folder), argparse.Namespace(cache=folder))
    assert [len(split) for split in (corpus.train, corpus.dev, corpus.test, corpus.other_test)] == [4, 4, 4, 4]
