import argparse
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.commands.bad_images import add_bad_list_argument, report_bad_images
from flair_espvr.images.bad_images import BadImages


def test_reasons_by_frequency_with_examples():
    reasons = {"odd": "is empty"} | {f"{n}.jpg": "no such file" for n in range(1234)}
    assert list(BadImages(reasons).summary()) == [
        "1,234 bad: no such file (0.jpg, 1.jpg, 2.jpg, ...)",
        "1 bad: is empty (odd)",
    ]


def test_reasons_that_differ_in_numbers_are_one():
    reasons = {f"{n}.png": f"{n} x 30,000 pixels, more than the limit of 67,108,864" for n in (4000, 5000)}
    assert list(BadImages(reasons).summary()) == ["2 bad: N x N pixels, more than the limit of N (4000.png, 5000.png)"]


def test_one_exact_reason_keeps_its_numbers():
    assert list(BadImages({"17_06": "no such picture in twitter2017/images"}).summary()) == [
        "1 bad: no such picture in twitter2017/images (17_06)"
    ]


def test_none():
    assert list(BadImages({}).summary()) == []


@given(st.dictionaries(st.text("ab"), st.text("xyz"), max_size=60))
def test_every_picture_is_counted_in_a_bounded_number_of_lines(reasons):
    lines = list(BadImages(reasons).summary())
    assert len(lines) <= 11
    assert sum(int(line.split(" bad: ")[0]) for line in lines) == len(reasons)


@pytest.mark.parametrize("name", ["plain.jpg", "a\tb\n.jpg", "\udcff.jpg"])
def test_the_list_holds_any_name(tmp_path, name, capsys):
    parser = argparse.ArgumentParser()
    add_bad_list_argument(parser)
    file = tmp_path / "bad.jsonl"
    report_bad_images(BadImages({name: "is empty"}), parser.parse_args(["--bad-list", str(file)]).bad_list)
    assert json.loads(file.read_text()) == {"picture": name, "reason": "is empty"}
    assert len(capsys.readouterr().err.splitlines()) == 1
    report_bad_images(BadImages({}), file)
    assert file.read_text() == ""


@pytest.mark.parametrize(("pictures", "hint"), [(3, False), (4, True)])
def test_the_option_is_named_where_the_summary_leaves_pictures_out(pictures, hint, capsys):
    report_bad_images(BadImages({str(number): "is empty" for number in range(pictures)}), None)
    assert ("--bad-list" in capsys.readouterr().err) == hint
