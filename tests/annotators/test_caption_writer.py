import json
import multiprocessing
import os
import random
import signal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flair_espvr.annotators.annotation_file import AnnotationFile
from flair_espvr.annotators.caption_writer import CAPTIONS, caption_images
from flair_espvr.data.formats.captions import read_captions
from flair_espvr.errors import ConfigurationError

FORK = multiprocessing.get_context("fork")
SETTINGS = {"model": "stub", "revision": None, "num_beams": 1}


class ColourCaptioner:
    """Names a picture's first pixel, in bad layout; black leaves it speechless."""

    def __init__(self):
        self.calls = []

    def caption(self, images):
        self.calls.append(len(images))
        pixels = [image.getpixel((0, 0)) for image in images]
        return ["ein\tBüld \n of {} {}  {}".format(*pixel) if any(pixel) else " \n" for pixel in pixels]


class ReportingCaptioner(ColourCaptioner):
    """Tells another process about each call before it answers."""

    def __init__(self, connection):
        super().__init__()
        self.connection = connection

    def caption(self, images):
        self.connection.send(len(images))
        return super().caption(images)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    colours = np.random.default_rng(0).integers(1, 256, (11, 3), dtype=np.uint8)
    for number, colour in enumerate(colours):
        Image.fromarray(np.full((4, 6, 3), colour)).save(folder / f"{number:02}.png")
    return {path.stem: path for path in sorted(folder.iterdir())}


def write(pictures, path, captioner=None, **arguments):
    arguments = {"settings": SETTINGS, "batch_size": 3, "progress": False, **arguments}
    return caption_images(captioner or ColourCaptioner(), pictures, path, **arguments)


@pytest.fixture(scope="module")
def straight_run(pictures, tmp_path_factory):
    path = tmp_path_factory.mktemp("straight") / "captions.tsv"
    assert write(pictures, path) == {}
    return path.read_bytes()


def test_the_file_has_its_settings_first_and_is_read_as_any_captions_file(pictures, straight_run, tmp_path):
    header, *lines = straight_run.decode().splitlines()
    assert json.loads(header.removeprefix("# ")) == SETTINGS
    assert [line.split("\t")[0] for line in lines] == list(pictures)
    path = tmp_path / "captions.tsv"
    path.write_bytes(straight_run)
    expected = {}
    for image_id, picture in pictures.items():
        expected[image_id] = "ein Büld of {} {} {}".format(*Image.open(picture).getpixel((0, 0)))
    assert read_captions(path) == expected


def test_a_second_run_describes_nothing_again(pictures, straight_run, tmp_path):
    path = tmp_path / "captions.tsv"
    path.write_bytes(straight_run)
    captioner = ColourCaptioner()
    assert write(pictures, path, captioner) == {}
    assert captioner.calls == []
    assert path.read_bytes() == straight_run


def test_whatever_a_kill_left_the_next_run_completes_it(pictures, straight_run, tmp_path):
    """Every length the file can have once its first line is there, which comes into being whole."""
    path = tmp_path / "captions.tsv"
    for length in (0, *range(straight_run.index(b"\n") + 1, len(straight_run))):
        path.write_bytes(straight_run[:length])
        captioner = ColourCaptioner()
        write(pictures, path, captioner)
        assert path.read_bytes() == straight_run
        whole_lines = straight_run[:length].count(b"\n") - 1 if length else 0
        assert sum(captioner.calls) == len(pictures) - whole_lines


@pytest.mark.parametrize("seed", range(4))
def test_killed_again_and_again_the_file_is_as_of_one_run(pictures, straight_run, tmp_path, seed):
    path = tmp_path / "captions.tsv"
    moments = random.Random(seed)
    exit_codes = []
    while not exit_codes or exit_codes[-1]:
        ours, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(
            target=write, args=(pictures, path, ReportingCaptioner(theirs)), kwargs={"batch_size": 1}
        )
        process.start()
        theirs.close()
        try:
            for _ in range(moments.randint(0, 4)):
                ours.recv()
            if len(exit_codes) < 8:
                os.kill(process.pid, signal.SIGKILL)  # it has just begun with a picture, or is anywhere behind that
        except EOFError:
            pass  # it came to its end first
        ours.close()
        process.join()
        exit_codes.append(process.exitcode)
    assert -signal.SIGKILL in exit_codes
    assert path.read_bytes() == straight_run


def test_what_cannot_be_described_is_returned_and_not_written(pictures, tmp_path):
    empty, black = tmp_path / "empty.jpg", tmp_path / "black.png"
    empty.touch()
    Image.new("RGB", (3, 3)).save(black)
    good = pictures["00"]
    asked = {"lost": tmp_path / "lost.jpg", "00": good, "empty": empty, "#1": good, "a\tb": good, "black": black}
    failures = write(asked, tmp_path / "captions.tsv", batch_size=2)
    assert list(failures) == ["lost", "empty", "#1", "a\tb", "black"]
    assert failures["lost"] == "no such file"
    assert "is empty" in failures["empty"]
    assert "begins with '#'" in failures["#1"]
    assert failures["black"] == "nothing was said about it"
    assert list(read_captions(tmp_path / "captions.tsv")) == ["00"]
    Image.new("RGB", (3, 3), "red").save(black)
    assert "black" not in write(asked, tmp_path / "captions.tsv")
    assert list(read_captions(tmp_path / "captions.tsv")) == ["00", "black"]


def test_other_settings_are_refused_and_both_are_shown(pictures, straight_run, tmp_path):
    path = tmp_path / "captions.tsv"
    path.write_bytes(straight_run)
    with pytest.raises(ConfigurationError, match=r"(?s)captions.tsv.*\(num_beams, prompt differ\).*beams\": 1.*\": 5"):
        write(pictures, path, settings={**SETTINGS, "num_beams": 5, "prompt": "a"})
    assert path.read_bytes() == straight_run


@pytest.mark.parametrize(
    "content", [b"17_06_1\ta dog\n", b"# a comment\n", b"# [1]\n", b"no line end", b'# {"model": "stub"}', b"\xff\n"]
)
def test_a_file_of_another_kind_is_left_alone(tmp_path, content):
    path = tmp_path / "captions.tsv"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="nothing was added"):
        AnnotationFile(path, SETTINGS, CAPTIONS)
    assert path.read_bytes() == content


def test_a_name_that_promises_jsonl_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"ends in \.tsv"):
        AnnotationFile(tmp_path / "captions.jsonl", SETTINGS, CAPTIONS)


def test_a_captioner_that_miscounts_is_refused(pictures, tmp_path):
    class Forgetful:
        def caption(self, images):
            return ["a dog"] * (len(images) - 1)

    with pytest.raises(ConfigurationError, match=r"Forgetful gave 2 answers for 3 pictures"):
        write(pictures, tmp_path / "captions.tsv", Forgetful())


def test_a_batch_has_at_least_one_picture(pictures, tmp_path):
    with pytest.raises(ConfigurationError, match="at least 1"):
        write(pictures, tmp_path / "captions.tsv", batch_size=0)


@pytest.mark.parametrize("caption", ["", " ", "two\nlines", "two\tcolumns"])
def test_the_writer_takes_whole_lines_only(tmp_path, caption):
    with AnnotationFile(tmp_path / "captions.tsv", SETTINGS, CAPTIONS) as writer:
        with pytest.raises(ConfigurationError, match="one line of text"):
            writer.write({"1": "a dog", "2": caption})
        with pytest.raises(ConfigurationError, match="image id '#2'"):
            writer.write({"1": "a dog", "#2": "a cat"})
    assert read_captions(tmp_path / "captions.tsv") == {}


@given(
    captions=st.dictionaries(
        st.text(min_size=1).filter(lambda image_id: CAPTIONS.unwritable_id(image_id) is None),
        st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: " ".join(text.split())).filter(bool),
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, captions):
    path = tmp_path_factory.mktemp("round_trip") / "captions.tsv"
    with AnnotationFile(path, SETTINGS, CAPTIONS) as writer:
        writer.write(captions)
    assert read_captions(path) == captions
    with AnnotationFile(path, SETTINGS, CAPTIONS) as writer:
        assert writer.written == captions.keys()
