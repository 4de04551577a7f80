import json

import pytest

from flair_espvr import POSTS
from flair_espvr.data.metadata import IMAGE, REGIONS
from flair_espvr.images.loading import load_image
from synthetic.grounded import MOST, Shares, main, write_grounded_scenes
from synthetic.sentences import TYPED, TYPED_SENTENCES

COUNT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_grounded_scenes(tmp_path_factory.mktemp("grounded"), train=COUNT, valid=1, test=1)


@pytest.fixture(scope="module")
def entities(folder):
    records = map(json.loads, (folder / "train.jsonl").read_text(encoding="utf-8").splitlines())
    return [{**entity, "tokens": record["tokens"]} for record in records for entity in record["entities"]]


def test_a_corpus_reads_every_post_with_its_picture_and_its_regions(folder):
    corpus = POSTS(folder, dev_file="valid.jsonl")
    assert [len(split) for split in (corpus.train, corpus.dev, corpus.test)] == [COUNT, 1, 1]
    for sentence in corpus.get_all_sentences():
        assert load_image(sentence.get_metadata(IMAGE)).size == (256, 256)
        assert all(REGIONS in label.metadata for label in sentence.get_labels("ner"))


def test_some_entities_are_not_shown_some_once_some_more_often(entities):
    counts = [len(entity["regions"]) for entity in entities]
    assert {0, 1, 2} <= set(counts) <= set(range(MOST + 1))
    assert 0.25 < counts.count(0) / len(counts) < 0.55


def test_objects_are_of_all_sizes(entities):
    areas = sorted(
        (right - left) * (bottom - top) for entity in entities for left, top, right, bottom in entity["regions"]
    )
    assert 0.004 < areas[0] < 0.02
    assert 0.2 < areas[-1] < 0.62


def test_the_sentence_tells_the_type_of_what_is_not_shown(entities):
    leads = {kind: {lead for lead, other, _ in TYPED if other == kind} for kind in TYPED_SENTENCES}
    leads = {kind: {tuple(lead.split()) for lead in of_kind} for kind, of_kind in leads.items()}
    for kind, templates in TYPED_SENTENCES.items():
        leads[kind] |= {tuple(template.split("{name}")[0].split()) for template in templates}
    for entity in entities:
        before = tuple(entity["tokens"][: entity["start"]])
        told = any(before[len(before) - len(lead) :] == lead for lead in leads[entity["type"]])
        assert entity["regions"] or told, entity


def test_shares_decide_what_posts_are_like(tmp_path):
    shares = Shares(absent=0.0, typed=0.0, second=0.0, several=0.0, plain=0.0, area=(0.2, 0.2))
    folder = write_grounded_scenes(tmp_path, train=8, valid=1, test=1, shares=shares)
    for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines():
        (entity,) = json.loads(line)["entities"]
        ((left, top, right, bottom),) = entity["regions"]
        assert (right - left) * (bottom - top) == pytest.approx(0.2, rel=0.03) or max(right - left, bottom - top) == 1


def test_the_same_seed_makes_the_same_corpus(tmp_path, capsys):
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        main([str(folder), "--train", "2", "--valid", "1", "--test", "1", "--seed", "3", "--area", "0.1", "0.2"])
        assert capsys.readouterr().out.strip() == str(folder)
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*.*")) for folder in folders]
    assert files[0] == files[1]
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in files[0])
