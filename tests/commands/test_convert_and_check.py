import argparse
import json

import pytest

from flair_espvr import MINILM_L6
from flair_espvr.commands import check, convert
from flair_espvr.errors import ConfigurationError


def run(command, *arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def columns(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("IMGID:1\nNew\tB-LOC\nYork\tI-LOC\n\n")
    return path


def test_convert_there_and_back(columns, tmp_path, capsys):
    assert run(convert, columns, tmp_path / "train.jsonl") == 0
    assert run(convert, tmp_path / "train.jsonl", tmp_path / "back.txt") == 0
    assert (tmp_path / "back.txt").read_bytes() == columns.read_bytes()
    assert "1 posts" in capsys.readouterr().out


def test_convert_between_named_formats_says_what_is_lost(tmp_path, capsys):
    (tmp_path / "in").write_text('{"text": "New York", "caption": "a city"}')
    assert run(convert, tmp_path / "in", tmp_path / "out", "--from", "jsonl", "--to", "conll") == 0
    assert (tmp_path / "out").read_text() == "New\tO\nYork\tO\n\n"
    assert "1 captions were left behind" in capsys.readouterr().out


def test_convert_says_which_tags_it_repaired(columns, tmp_path, capsys):
    columns.write_text("IMGID:1\na\tI-LOC\n")
    assert run(convert, columns, tmp_path / "out.jsonl") == 0
    assert "1 I- tags" in capsys.readouterr().out


def test_convert_twitter_gmner_with_its_boxes(tmp_path, capsys):
    for name in ("txt", "xml"):
        (tmp_path / name).mkdir()
    posts = tmp_path / "txt" / "dev.txt"
    posts.write_text("IMGID:1\nNew\tB-LOC\nYork\tI-LOC\n\nIMGID:2\nKevin\tB-PER\n")
    (tmp_path / "xml" / "1.xml").write_text(
        "<annotation><size><width>4</width><height>2</height></size><object><name>New York</name>"
        "<bndbox><xmin>1</xmin><ymin>0</ymin><xmax>4</xmax><ymax>1</ymax></bndbox></object></annotation>"
    )
    assert run(convert, posts, tmp_path / "dev.jsonl", "--from", "gmner") == 0
    lines = (tmp_path / "dev.jsonl").read_text().splitlines()
    assert [json.loads(line)["entities"][0]["regions"] for line in lines] == [[[0.25, 0.0, 1.0, 0.5]], []]
    with pytest.raises(ConfigurationError, match="only JSONL has a place for boxes"):
        run(convert, posts, tmp_path / "dev.conll", "--from", "gmner")


def test_convert_plain_text_and_csv(tmp_path, capsys):
    (tmp_path / "posts.txt").write_text("Kevin sings.\n\n in  Oakland \n")
    assert run(convert, tmp_path / "posts.txt", tmp_path / "posts.jsonl", "--from", "text") == 0
    lines = (tmp_path / "posts.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["Kevin sings.", "in  Oakland"]
    (tmp_path / "posts.csv").write_text("tweet,who\nKevin sings.,7\n")
    options = ("--column", "text=tweet", "--column", "id=who")
    assert run(convert, tmp_path / "posts.csv", tmp_path / "posts.conll", *options) == 0
    assert (tmp_path / "posts.conll").read_text() == "Kevin\tO\nsings\tO\n.\tO\n\n"
    for wrong, message in ((("--column", "tweet"), "FIELD=NAME"), (("--from", "jsonl", *options), "only CSV")):
        with pytest.raises(ConfigurationError, match=message):
            run(convert, tmp_path / "posts.csv", tmp_path / "out.jsonl", *wrong)


def test_convert_flattens_nested_entities(tmp_path, capsys):
    entities = [{"start": 0, "end": 2, "type": "ORG"}, {"start": 1, "end": 2, "type": "LOC"}]
    (tmp_path / "in.jsonl").write_text(json.dumps({"tokens": ["FC", "Porto"], "entities": entities}))
    for keep, tags in (("outermost", ("B-ORG", "I-ORG")), ("innermost", ("O", "B-LOC"))):
        assert run(convert, tmp_path / "in.jsonl", tmp_path / "out.conll", "--flatten", keep) == 0
        assert (tmp_path / "out.conll").read_text() == f"FC\t{tags[0]}\nPorto\t{tags[1]}\n\n"


def test_check_tells_clean_from_leaking(columns, tmp_path, capsys):
    assert run(check, tmp_path) == 0
    (tmp_path / "test.txt").write_bytes(columns.read_bytes())
    assert run(check, tmp_path) == 3
    assert "image ids in several splits: 1\n    train.txt line 1 (1) = test.txt line 1 (1)" in capsys.readouterr().out


def test_check_says_which_splits_are_missing_and_how_many_regions_are_known(columns, tmp_path, capsys):
    columns.unlink()
    entities = [{"start": 0, "end": 3, "type": "PER", "regions": regions} for regions in ([[0, 0, 1, 1]], [], None)]
    records = [{"text": "Ada", "entities": [entity]} for entity in entities]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    run(check, tmp_path)
    report = capsys.readouterr().out
    assert "entities in the pictures: 1 shown, 1 not shown, 1 not known\n" in report
    assert "no valid.txt or dev.txt or valid.jsonl or dev.jsonl: tell a corpus dev_file=None" in report
    (tmp_path / "dev.jsonl").write_text("")
    (tmp_path / "test.txt").write_text("")
    run(check, tmp_path / "train.jsonl")
    run(check, tmp_path)
    assert "no " not in capsys.readouterr().out


def test_check_needs_files_of_posts(tmp_path):
    with pytest.raises(ConfigurationError, match=r"train\.txt"):
        run(check, tmp_path)


def test_check_looks_for_pictures_and_at_what_an_encoder_makes_of_posts(tmp_path, capsys):
    words = " ".join(["one"] * 600)
    records = [{"text": words, "image": "no.png"}, *({"text": f"天 {n}", "image": f"{n}.png"} for n in range(7))]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "3.png").write_bytes(b"")
    assert run(check, tmp_path / "posts.jsonl", "--encoder", MINILM_L6) == 3
    report = capsys.readouterr().out
    assert "posts with a picture: posts.jsonl 1\n" in report
    assert "longest post: 600 words, posts.jsonl line 1 (no)\n" in report
    assert "pictures that are not there: 7\n    posts.jsonl line 1 (no)\n" in report
    assert "posts longer than the encoder reads: 1\n    posts.jsonl line 1 (no)" in report
    assert "and 2 more (--all shows them)" in report
    assert run(check, tmp_path / "posts.jsonl", "--all") == 3
    assert "more" not in capsys.readouterr().out
