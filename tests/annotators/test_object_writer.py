import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
from PIL import Image

from flair_espvr.annotators.annotation_file import AnnotationFile
from flair_espvr.annotators.object_writer import OBJECT_LISTS, detect_objects
from flair_espvr.data import PictureObject, read_objects
from flair_espvr.errors import ConfigurationError

FORK = multiprocessing.get_context("fork")
SETTINGS = {"detector": "stub", "threshold": 0.5}


class Pixels:
    """Finds as many objects as the first pixel's red, up to two; the `last` picture kills the process."""

    def __init__(self, last=None):
        self.seen = 0
        self.last = last

    def detect(self, pictures, prompts):
        found = []
        for picture in pictures:
            if self.seen == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
            self.seen += 1
            red, green, _ = picture.getpixel((0, 0))
            objects = [PictureObject("faint", 0.25, (0, 0, 0.5, 1)), PictureObject(f"Bäum {green}", 0.5, (0, 0, 1, 1))]
            found.append(objects[: red % 3])
        return found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(np.random.default_rng(0).integers(0, 256, (12, 3), dtype=np.uint8)):
        Image.fromarray(np.full((4, 6, 3), colour)).save(folder / f"{number:02}.png")
    return {path.stem: path for path in sorted(folder.iterdir())}


def write(pictures, path, detector=None, **arguments):
    arguments = {"settings": SETTINGS, "batch_size": 2, "progress": False, **arguments}
    return detect_objects(detector or Pixels(), pictures, path, **arguments)


@pytest.fixture(scope="module")
def straight_run(pictures, tmp_path_factory):
    path = tmp_path_factory.mktemp("straight") / "objects.jsonl"
    assert write(pictures, path) == {}
    return path.read_bytes()


def test_the_file_has_its_settings_first_and_the_surest_object_of_each_picture(pictures, straight_run, tmp_path):
    path = tmp_path / "objects.jsonl"
    path.write_bytes(straight_run)
    header, *lines = straight_run.decode().splitlines()
    assert json.loads(header) == {"header": {**SETTINGS, "prompts": None}}
    assert [json.loads(line)["image_id"] for line in lines] == list(pictures)
    found = read_objects(path)
    assert {len(objects) for objects in found.values()} == {0, 1, 2}
    assert all(objects[0].label.startswith("Bäum") for objects in found.values() if len(objects) == 2)


def test_whatever_a_kill_left_the_next_run_completes_it(pictures, straight_run, tmp_path):
    path = tmp_path / "objects.jsonl"
    for length in (0, *range(straight_run.index(b"\n") + 1, len(straight_run), 7)):
        path.write_bytes(straight_run[:length])
        write(pictures, path)
        assert path.read_bytes() == straight_run


def test_killed_at_every_picture_the_file_is_as_of_one_run(pictures, straight_run, tmp_path):
    path = tmp_path / "objects.jsonl"
    kills = 0
    for last in (0, 1, 0, 1, 2, 1, 3, 0, 2, 1, 5, None):
        process = FORK.Process(target=write, args=(pictures, path, Pixels(last)))
        process.start()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills == 11
    assert path.read_bytes() == straight_run


def test_another_detector_or_other_prompts_need_another_file(pictures, straight_run, tmp_path):
    path = tmp_path / "objects.jsonl"
    path.write_bytes(straight_run)
    for changed in ({"settings": {**SETTINGS, "detector": "other"}}, {"prompts": ["dog"]}):
        with pytest.raises(ConfigurationError, match=r"objects.jsonl: its objects were made with other settings"):
            write(pictures, path, **changed)
    assert path.read_bytes() == straight_run


@pytest.mark.parametrize("content", [b'{"image_id": "1", "objects": []}\n', b"# {}\n", b"[1]\n", b'{"header": 1}\n'])
def test_a_file_of_another_kind_is_left_alone(tmp_path, content):
    path = tmp_path / "objects.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="nothing was added"):
        AnnotationFile(path, SETTINGS, OBJECT_LISTS)
    assert path.read_bytes() == content
    with pytest.raises(ConfigurationError, match=r"ends in \.jsonl"):
        AnnotationFile(tmp_path / "objects.tsv", SETTINGS, OBJECT_LISTS)
