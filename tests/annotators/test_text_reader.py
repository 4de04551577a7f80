import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
from PIL import Image, ImageDraw, ImageFont

from flair_espvr.annotators import florence
from flair_espvr.annotators.text_reader import RapidOCRReader
from flair_espvr.annotators.text_writer import read_text
from flair_espvr.commands import read
from flair_espvr.data import MultimodalCorpus, read_captions
from flair_espvr.errors import ConfigurationError
from tests.annotators.tiny_models import florence2


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    read.add_arguments(parser)
    return read.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def pictures(tmp_path):
    """A word in Pillow's own font, a picture without any, and a file that is no picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    sign = Image.new("RGB", (240, 80), "white")
    ImageDraw.Draw(sign).text((20, 15), "HARBOUR", fill="black", font=ImageFont.load_default(40))
    sign.save(folder / "sign.png")
    Image.new("RGB", (64, 64), "teal").save(folder / "wall.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_rapidocr_reads_words(pictures, tmp_path, capsys):
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    out = tmp_path / "ocr.tsv"
    assert command(pictures, "--out", out) == 3
    assert "texts of 2 of 3 pictures" in capsys.readouterr().out
    header, *lines = out.read_text(encoding="utf-8").splitlines()
    assert json.loads(header.removeprefix("# ")) == RapidOCRReader().settings
    assert lines == ["sign\tHARBOUR", "wall\t"]
    assert read_captions(out, key="ocr") == {"sign": "HARBOUR"}
    before = out.read_bytes()
    (pictures / "broken.jpg").unlink()
    assert command(pictures, "--out", out) == 0
    assert out.read_bytes() == before


class Own:
    def read(self, pictures):
        return [f"{picture.width}\n{picture.height}" for picture in pictures]


def test_ones_own_reader_in_a_corpus(pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "own_reader", sys.modules[__name__])
    (tmp_path / "train.txt").write_text("IMGID:sign\nPorto\tB-LOC\n\nIMGID:none\nPorto\tB-LOC\n")
    pictures.rename(tmp_path / "images")
    assert command(tmp_path, "--reader", "own_reader:Own", "--out", tmp_path / "ocr.tsv") == 3
    corpus = MultimodalCorpus(tmp_path, dev_file=None, test_file=None, sample_missing_splits=False)
    assert [post.has_metadata("ocr") for post in corpus.train] == [True, False]
    assert corpus.train[0].get_metadata("ocr") == "240 80"


class Dying(Own):
    """Reads so many pictures, and kills the process at the next one."""

    def __init__(self, last):
        self.left = last

    def read(self, pictures):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return super().read(pictures)


def test_killed_at_every_picture_the_file_is_as_of_one_run(tmp_path):
    pictures = {}
    for number in range(8):
        pictures[f"{number}"] = tmp_path / f"{number}.png"
        Image.new("RGB", (8 + number, 8)).save(pictures[f"{number}"])
    settings = {"settings": {"reader": "stub"}, "batch_size": 1, "progress": False}
    read_text(Own(), pictures, tmp_path / "straight.tsv", **settings)
    out = tmp_path / "ocr.tsv"
    kills = 0
    for last in (0, 1, 0, 2, 1, 0, 1, 1, 1, 0, -1):
        arguments = (Dying(last), pictures, out)
        process = multiprocessing.get_context("fork").Process(target=read_text, args=arguments, kwargs=settings)
        process.start()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills == 10
    assert out.read_bytes() == (tmp_path / "straight.tsv").read_bytes()


def test_florence2_reads_what_its_processor_makes_of_its_answer(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(florence, "_MAX_NEW_TOKENS", 12)
    folder = tmp_path / "florence"
    folder.mkdir()
    for part in (lambda model, processors: (model, *processors))(*florence2(folder)):
        part.save_pretrained(folder)
    out = tmp_path / "ocr.tsv"
    assert command(pictures, "--reader", folder, "--out", out) == 3
    tiny = florence.Florence2(folder)
    read_back = dict(line.split("\t") for line in out.read_text().splitlines()[1:])
    for image_id, text in read_back.items():
        answer = tiny.answer(Image.open(pictures / f"{image_id}.png").convert("RGB"), "<OCR>")
        assert text == " ".join(answer.split())


def test_without_rapidocr_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(ConfigurationError, match=r"flair-espvr\[ocr\]"):
        RapidOCRReader()


def test_training_never_imports_a_detector_or_reader():
    modules = "flair_espvr, flair_espvr.data, flair_espvr.models, flair_espvr.training.build, flair_espvr.tagging"
    code = f"import sys, {modules}; print([name for name in sys.modules if 'annotators' in name or 'rapidocr' in name])"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
