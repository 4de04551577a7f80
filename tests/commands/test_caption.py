import argparse
import json
import re
from pathlib import Path

import flair
import pytest
import torch
from PIL import Image
from transformers import BertTokenizerFast, CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

from flair_espvr.annotators.captioner import Captioner
from flair_espvr.commands import caption
from flair_espvr.data import MultimodalCorpus, read_captions
from flair_espvr.errors import ConfigurationError

REAL_PICTURES = Path(__file__).parents[2].parent / "shared" / "data" / "twitter2015" / "images"


@pytest.fixture(scope="module")
def tiny_git(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny_git")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", "dog", "crowd", "on", "stage"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    image_processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    GitProcessor(image_processor, tokenizer).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    special = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    vision = {**sizes, "image_size": 32, "patch_size": 16}
    torch.manual_seed(3)
    GitForCausalLM(GitConfig(vision, vocab_size=len(vocabulary), **sizes, **special)).save_pretrained(folder)
    return folder


@pytest.fixture
def corpus(tmp_path):
    """Posts with four image ids: two good pictures, one that is none, one that is not there."""
    images = tmp_path / "posts" / "images"
    images.mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(images / "17_1.jpg")
    Image.new("RGBA", (30, 40), "blue").save(images / "17_2.png")
    (images / "17_3.jpg").write_bytes(b"\xff\xd8\xff")
    posts = "".join(f"IMGID:{image_id}\nKevin\tB-PER\n\n" for image_id in ("17_2", "17_3", "17_4", "17_2"))
    (images.parent / "train.txt").write_text(posts)
    (images.parent / "test.txt").write_text("IMGID:17_1\nDurant\tB-PER\n")
    return images.parent


@pytest.fixture
def command(tiny_git):
    def run(*arguments: object) -> int:
        parser = argparse.ArgumentParser()
        caption.add_arguments(parser)
        fast = ["--model", tiny_git, "--num-beams", 1, "--max-new-tokens", 5]
        return caption.run(parser.parse_args([str(argument) for argument in (*fast, *arguments)]))

    return run


def test_a_folder_of_pictures(command, corpus, tiny_git, tmp_path, capsys):
    out = tmp_path / "captions.tsv"
    assert command(corpus / "images", "--out", out) == 3
    output = capsys.readouterr()
    assert re.search(r"1 bad: .*damaged.* \(17_3\)", output.err)
    assert f"{out}: captions of 2 of 3 pictures." in output.out

    captioner = Captioner(tiny_git, num_beams=1, max_new_tokens=5)
    pictures = [Image.open(corpus / "images" / name).convert("RGB") for name in ("17_1.jpg", "17_2.png")]
    assert read_captions(out) == dict(zip(("17_1", "17_2"), captioner.caption(pictures), strict=True))
    header = out.read_text().splitlines()[0]
    assert json.loads(header.removeprefix("# ")) == captioner.settings

    (corpus / "images" / "17_3.jpg").unlink()
    before = out.read_bytes()
    assert command(corpus / "images", "--out", out) == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize("folder", ["images", "elsewhere"])
def test_a_corpus_reads_the_captions_of_its_posts(command, corpus, folder, capsys):
    out = corpus / "captions.tsv"
    Image.new("RGB", (9, 9)).save(corpus / "images" / "of_no_post.png")
    (corpus / "images").rename(corpus / folder)
    images = [] if folder == "images" else ["--images", corpus / folder]
    assert command(corpus, *images, "--out", out) == 3
    output = capsys.readouterr()
    assert f"1 bad: no such picture in {corpus / folder} (17_4)" in output.err
    assert "captions of 2 of 4 pictures" in output.out
    captions = read_captions(out)
    assert list(captions) == ["17_2", "17_1"]
    read = MultimodalCorpus(corpus, dev_file=None, captions=out, sample_missing_splits=False)
    assert read.summary["train"].captions == 2
    assert read.test[0].get_metadata("caption") == captions["17_1"]


def test_thousands_of_missing_pictures_are_a_few_lines_and_a_file(command, corpus, tmp_path, capsys):
    posts = "".join(f"IMGID:{image_id}\nKevin\tB-PER\n\n" for image_id in ("17_1", *range(5000)))
    (tmp_path / "many.txt").write_text(posts)
    arguments = (tmp_path / "many.txt", "--images", corpus / "images", "--out", tmp_path / "captions.tsv")
    assert command(*arguments) == 3
    lines = capsys.readouterr().err.splitlines()
    assert f"5,000 bad: no such picture in {corpus / 'images'} (0, 1, 2, ...)" in lines
    assert len([line for line in lines if "bad" in line]) == 2

    assert command(*arguments, "--bad-list", tmp_path / "bad.jsonl") == 3
    listed = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [record["picture"] for record in listed] == [str(number) for number in range(5000)]
    assert {record["reason"] for record in listed} == {f"no such picture in {corpus / 'images'}"}


def test_a_single_file_of_posts(command, corpus, tmp_path):
    out = tmp_path / "test.tsv"
    assert command(corpus / "test.txt", "--images", corpus / "images", "--out", out) == 0
    assert list(read_captions(out)) == ["17_1"]


def test_a_folder_named_images_does_not_make_a_corpus(command, corpus, tmp_path):
    (corpus / "train.txt").unlink()
    (corpus / "test.txt").unlink()
    out = tmp_path / "captions.tsv"
    assert command(corpus, "--out", out) == 3
    assert list(read_captions(out)) == ["17_1", "17_2"]


def test_two_pictures_of_one_id(command, tmp_path, capsys):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    assert command(tmp_path, "--out", tmp_path / "captions.tsv") == 3
    assert f"1 bad: another picture has this image id, and was taken ({tmp_path}/b/1.png)" in capsys.readouterr().err


def test_other_settings_need_another_file(command, corpus, tmp_path):
    out = tmp_path / "captions.tsv"
    command(corpus / "images", "--out", out)
    with pytest.raises(ConfigurationError, match="num_beams differ"):
        command(corpus / "images", "--out", out, "--num-beams", 2)


def test_a_source_without_pictures_is_refused_before_a_model_is_loaded(command, corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(ConfigurationError, match="no pictures there"):
            command(source, "--out", tmp_path / "captions.tsv", "--model", tmp_path)
    with pytest.raises(ConfigurationError, match="no pictures of these posts"):
        command(corpus, "--images", tmp_path / "empty", "--out", tmp_path / "captions.tsv", "--model", tmp_path)


def test_the_device_is_flairs(command, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("flair.device", torch.device("meta"))
    assert command(corpus / "test.txt", "--images", corpus / "images", "--out", tmp_path / "1", "--device", "cpu") == 0
    assert flair.device == torch.device("cpu")
    for absent in ("cuda:99", "nonsense"):
        with pytest.raises(ConfigurationError, match=f"--device {absent}: "):
            command(corpus / "images", "--out", tmp_path / "2", "--device", absent)
    assert flair.device == torch.device("cpu")
    assert not (tmp_path / "2").exists()


@pytest.mark.skipif(not REAL_PICTURES.is_dir(), reason="the tweets' pictures are not part of the project")
def test_the_tweets_pictures(command, tmp_path):
    out = tmp_path / "captions.tsv"
    assert command(REAL_PICTURES, "--out", out, "--batch-size", 5) == 0
    assert read_captions(out).keys() == {path.stem for path in REAL_PICTURES.iterdir()}
