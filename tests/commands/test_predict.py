"""`flair-espvr predict` beside the tagger's own `predict`, stopped and resumed, and with bad input."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Corpus, Sentence
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from lxml import html

from flair_espvr import ESPVRTagger
from flair_espvr.commands import main, predict
from flair_espvr.data import read_posts
from flair_espvr.errors import ConfigurationError, PostFormatError, RegionStoreError, UnsafeModelError
from flair_espvr.io.resumable import ResumableFile
from flair_espvr.models import inference as modes

Run = Callable[..., int]

RECORDS: list[dict[str, Any]] = [
    {"id": "a", "text": "kevin plays  in oakland", "image": "0.png", "caption": "a man"},
    {"id": "b", "text": ""},
    {"id": "a", "text": "mary\u200b jane sings", "image": "broken.png"},
    {"text": "we are in new york", "image": "absent.png", "entities": [{"gold": "of another kind"}]},
    {"tokens": ["mary", "is", "in", "oakland", "now"], "image": "1.png", "language": "en"},
]
BAD = ["broken.png", "absent.png"]


@pytest.fixture
def model(build: Callable[..., ESPVRTagger], tmp_path: Path) -> Path:
    build().save(tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.fixture
def folder(pictures: list[Path], tmp_path: Path) -> Path:
    """`RECORDS` as JSONL, their pictures beside them: two are good, one is damaged, one is not there."""
    folder = tmp_path / "posts"
    folder.mkdir()
    for picture in pictures[:2]:
        (folder / picture.name).write_bytes(picture.read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "posts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return folder


@pytest.fixture
def run(model: Path) -> Run:
    def run_command(*arguments: object) -> int:
        parser = argparse.ArgumentParser()
        predict.add_arguments(parser)
        return predict.run(parser.parse_args([str(argument) for argument in (model, *arguments)]))

    return run_command


@contextmanager
def stdin(content: bytes) -> Iterator[None]:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    kept = os.dup(0)
    os.dup2(reader, 0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reader)


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def many(path: Path, posts: int) -> Path:
    words = ["kevin", "mary", "oakland", "plays", "in", "new", "york", "sings", "we"]
    lines = [json.dumps({"id": n, "text": " ".join(words[n % 9 :] + words[: n % 7])}) for n in range(posts)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_jsonl_says_what_the_tagger_says(
    run: Run, model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder / "posts.jsonl", "--out", tmp_path / "out.jsonl") == 3
    results = written(tmp_path / "out.jsonl")

    sentences = [Sentence(record.get("text", record.get("tokens"))) for record in RECORDS]
    for sentence, record in zip(sentences, RECORDS, strict=True):
        if "image" in record and record["image"] not in BAD:
            sentence.add_metadata("image", folder / record["image"])
        if "caption" in record:
            sentence.add_metadata("caption", record["caption"])
    tagger = ESPVRTagger.load(model)
    tagger.predict(sentences)
    assert sum(len(sentence.get_spans("ner")) for sentence in sentences) > 3

    for record, result, sentence in zip(RECORDS, results, sentences, strict=True):
        given = {name: value for name, value in record.items() if name != "entities"}
        assert {name: value for name, value in result.items() if name != "entities"} == given
        spans = sentence.get_spans("ner")
        assert [entity["type"] for entity in result["entities"]] == [span.tag for span in spans]
        assert [entity["words"] for entity in result["entities"]] == [[s[0].idx - 1, s[-1].idx] for s in spans]
        assert [entity["score"] for entity in result["entities"]] == pytest.approx([span.score for span in spans])
        for entity, span in zip(result["entities"], spans, strict=True):
            region = span.get_label("ner").metadata.get("region")
            assert (entity["region"] is None) == (region is None)
            if region is not None:
                area = (region.right - region.left) * (region.bottom - region.top)
                assert entity["region"].pop("times_even") == pytest.approx(region.score / area, abs=1e-3)
                expected = dict(vars(region))
                assert expected.pop("image") == 0  # which is not written
                assert entity["region"] == pytest.approx(expected)
    assert results[0]["entities"][0]["region"] is not None

    output = capsys.readouterr()
    assert output.out == ""
    for name in BAD:
        assert output.err.count(str(folder / name)) == 1
    assert "5 posts, 4 with a picture" in output.err


def test_columns_are_read_back(run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder / "posts.jsonl", "--out", tmp_path / "out.txt", "--quiet")
    run(folder / "posts.jsonl", "--out", tmp_path / "out.jsonl", "--quiet")
    posts = list(read_posts(tmp_path / "out.txt"))
    assert [post.image_id for post in posts] == ["0", "b", "broken", "absent", "1"]
    for post, result in zip(posts, written(tmp_path / "out.jsonl"), strict=True):
        begun = [index for index, tag in enumerate(post.tags) if tag.startswith("B-")]
        assert begun == [entity["words"][0] for entity in result["entities"]]

    # Tagged again: from columns with tags, its own, and pictures by id.
    (folder / "broken.png").write_text("an error page")
    assert run(tmp_path / "out.txt", "--images", folder, "--out", tmp_path / "again.txt") == 3
    assert f"is no picture ({folder / 'broken.png'})" in capsys.readouterr().err
    again = list(read_posts(tmp_path / "again.txt"))
    assert [post.tokens for post in again] == [post.tokens for post in posts]
    assert again[4].tags == posts[4].tags


def test_a_folder(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "more.txt").write_text("IMGID:0\nkevin\nhere\n")
    (folder / "captions.tsv").write_text("0\ta man\n")
    assert run(folder, "--out", tmp_path / "out.jsonl") == 3
    results = written(tmp_path / "out.jsonl")
    assert [result.get("id") for result in results] == ["0", "a", "b", "a", None, None]
    run("--text", "kevin here", "--image", folder / "0.png", "--caption", "a man", "--out", tmp_path / "one.jsonl")
    (one,) = written(tmp_path / "one.jsonl")
    scores, expected = ([entity["score"] for entity in result["entities"]] for result in (results[0], one))
    assert scores == pytest.approx(expected, rel=1e-4)
    # Pictures in the folder `images`, where there is one, or in the one that is named.
    (folder / "images").mkdir()
    assert run(folder / "more.txt", folder, "--images", folder, "--out", tmp_path / "named.jsonl") == 3
    assert [result.get("id") for result in written(tmp_path / "named.jsonl")][:2] == ["0", "0"]


def test_a_single_post_from_the_command_line(
    run: Run, folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run("--text", "kevin plays", "--image", folder / "0.png", "--quiet") == 0
    output = capsysbinary.readouterr()
    assert json.loads(output.out)["text"] == "kevin plays"
    assert output.err == b""


def test_files_of_contexts_know_the_picture_of_a_single_post(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.tsv").write_text("0\ta man\n1\ta town\n")
    post = ("--text", "kevin plays in oakland", "--image", folder / "0.png")
    scores = []
    for options in ((), ("--caption", "a man"), ("--captions", tmp_path / "captions.tsv")):
        run(*post, *options, "--out", tmp_path / "out.jsonl")
        scores.append([entity["score"] for entity in written(tmp_path / "out.jsonl")[0]["entities"]])
    assert scores[2] == scores[1] != scores[0]
    with pytest.raises(ConfigurationError, match="give --image as well"):
        run("--text", "kevin", "--captions", tmp_path / "captions.tsv")


def test_standard_input(run: Run, folder: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    posts = many(tmp_path / "posts.jsonl", 40)
    assert run(posts, "--batch-size", 1, "--out", tmp_path / "out.jsonl") == 0
    with stdin(posts.read_bytes()):
        assert run("-", "--batch-size", 1) == 0
    assert capsysbinary.readouterr().out == (tmp_path / "out.jsonl").read_bytes()
    with stdin(b"IMGID:0\nkevin\n"):
        assert run("-", "--images", folder, "--format", "columns") == 0
    assert capsysbinary.readouterr().out.startswith(b"IMGID:0\nkevin\t")


def test_a_pipe_as_output(run: Run, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    run(folder / "posts.jsonl", "--out", tmp_path / "pipe", "--quiet")
    content = os.read(reader, 1 << 16)
    os.close(reader)
    run(folder / "posts.jsonl", "--out", tmp_path / "out.jsonl", "--quiet")
    assert content == (tmp_path / "out.jsonl").read_bytes()


def test_a_report(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run(folder / "posts.jsonl", "--out", tmp_path / "out.html") == 3
    page = html.parse(tmp_path / "out.html")
    assert len(page.findall(".//article")) == len(RECORDS)
    boxes = page.xpath("count(//div[starts-with(@class, 'box')])")
    assert page.xpath("count(//img[@class='heat'])") == page.xpath("count(//input[@data-shows])") == boxes > 0
    assert "damaged" in page.findall(".//article")[2].text_content()


@pytest.fixture
def strangers(folder: Path, pictures: list[Path], tmp_path: Path) -> Path:
    """Posts that name a private picture in every way, with links among their own pictures."""
    private = tmp_path / "private"
    private.mkdir()
    (private / "x.png").write_bytes(pictures[2].read_bytes())
    (folder / "link.png").symlink_to(private / "x.png")
    (folder / "linked").symlink_to(private)
    (folder / "inside.png").symlink_to("0.png")
    names = ["0.png", "inside.png", "../private/x.png", str(private / "x.png"), "link.png", "linked/x.png", "/dev/zero"]
    (folder / "posts.jsonl").write_text("".join(json.dumps({"text": "kevin", "image": name}) + "\n" for name in names))
    return folder


def pictures_shown(page: Path) -> list[bool]:
    return [bool(article.xpath(".//img")) for article in html.parse(page).findall(".//article")]


def test_pictures_outside_of_the_posts_folder_are_not_read(
    run: Run, strangers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [True, True, False, False, False, False, False]
    for posts in (strangers / "posts.jsonl", strangers):
        assert run(posts, "--out", tmp_path / "out.html") == 3
        assert pictures_shown(tmp_path / "out.html") == own
    error = capsys.readouterr().err
    assert "outside of the folder that pictures may come from" in error
    assert run(strangers / "posts.jsonl", "--out", tmp_path / "out.jsonl") == 3
    without = [result["entities"] for result in written(tmp_path / "out.jsonl")][2:]
    assert all(entity["region"] is None for entities in without for entity in entities)
    monkeypatch.chdir(strangers)
    with stdin((strangers / "posts.jsonl").read_bytes()):
        assert run("-", "--out", tmp_path / "out.html") == 3
    assert pictures_shown(tmp_path / "out.html") == own


def test_pictures_below_another_folder_are_read_where_told(run: Run, strangers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    assert run(strangers / "posts.jsonl", "--images-below", tmp_path, "--out", out) == 3  # for /dev/zero
    assert pictures_shown(out) == [True] * 6 + [False]
    assert run(strangers / "posts.jsonl", "--images-below", tmp_path / "private", "--out", out) == 3
    assert pictures_shown(out) == [False, False, True, True, True, True, False]
    # What the user names himself may be anywhere, unless he says otherwise.
    (tmp_path / "ids.txt").write_text("IMGID:link\nkevin\n")
    for below, shown in (([], True), (["--images-below", strangers], False)):
        run(tmp_path / "ids.txt", "--images", strangers, "--out", out, *below)
        assert pictures_shown(out) == [shown]
        run("--text", "kevin", "--image", strangers / "link.png", "--out", out, *below)
        assert pictures_shown(out) == [shown]


def test_a_folders_own_pictures_are_read_below_it(run: Run, strangers: Path, tmp_path: Path) -> None:
    (strangers / "posts.jsonl").unlink()
    (strangers / "posts.txt").write_text("IMGID:0\nkevin\n\nIMGID:link\nkevin\n")
    assert run(strangers, "--out", tmp_path / "out.html") == 3
    assert pictures_shown(tmp_path / "out.html") == [True, False]


def test_killed_and_resumed(run: Run, model: Path, tmp_path: Path) -> None:
    """Killed with two windows tagged and the third not yet given: the rest is done, nothing is lost or doubled."""
    posts = many(tmp_path / "posts.jsonl", 70)
    out = tmp_path / "out.jsonl"
    assert run(posts, "--batch-size", 1, "--out", tmp_path / "whole.jsonl") == 0
    command = [
        sys.executable,
        "-m",
        "flair_espvr.commands.main",
        "predict",
        model,
        "-",
        "--batch-size",
        "1",
        "--out",
        out,
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    with process:
        process.stdin.write(b"".join(posts.read_bytes().splitlines(keepends=True)[:40]))
        process.stdin.flush()
        shown = b""
        while b" 32post [" not in shown:  # a rate may read 5.32post/s
            shown += (read := process.stderr.read1())
            assert read, shown
        process.send_signal(signal.SIGKILL)
    part = tmp_path / "out.jsonl.part"
    assert not out.exists()
    kept = part.read_bytes()
    assert kept.count(b"\n") == 32
    with part.open("ab") as file:
        file.write(b'{"id": 32, "te')

    # Other posts are not mixed with those; the same go on.
    other = tmp_path / "other.jsonl"
    other.write_text(posts.read_text().replace('"id": 5,', '"id": 500,'))
    with pytest.raises(ConfigurationError, match=r"out\.jsonl\.part: the first 32 posts are not"):
        run(other, "--out", out)
    assert part.read_bytes() == kept
    assert run(posts, "--batch-size", 1, "--out", out) == 0
    (lines, numbers), (whole, its_numbers) = _lines_and_numbers(out), _lines_and_numbers(tmp_path / "whole.jsonl")
    assert lines == whole
    assert numbers == pytest.approx(its_numbers, abs=1e-6)  # processes may differ in the last digits
    assert not part.exists()


def _lines_and_numbers(path: Path) -> tuple[list[dict[str, Any]], list[float]]:
    """A file of predictions without its fractions, and these by themselves."""
    numbers: list[float] = []
    return [
        json.loads(line, parse_float=lambda text: numbers.append(float(text))) for line in path.read_text().splitlines()
    ], numbers


def test_a_broken_line_is_mended_and_the_run_goes_on(
    run: Run, model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad pictures that were met before the stop are told of after it."""
    posts, out = many(folder / "posts.jsonl", 40), tmp_path / "out.jsonl"
    lines = posts.read_text().splitlines(keepends=True)
    lines[3] = '{"text": "kevin", "image": "broken.png"}\n'
    posts.write_text("".join(lines))
    assert run(posts, "--batch-size", 1, "--out", tmp_path / "whole.jsonl") == 3
    posts.write_text("".join([*lines[:35], '{"text"\n', *lines[36:]]))
    with pytest.raises(PostFormatError, match=r"posts\.jsonl, line 36: expected a post as JSON"):
        run(posts, "--batch-size", 1, "--out", out)
    assert not out.exists()
    capsys.readouterr()
    posts.write_text("".join(lines))
    assert run(posts, "--batch-size", 1, "--out", out) == 3
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    error = capsys.readouterr().err
    assert "broken.png)" in error
    assert "40 posts, 1 with a picture" in error


def test_a_broken_line_is_put_aside_and_the_run_goes_on(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped by one, begun again with `--bad-posts`, stopped between windows, begun once more: each is told once."""
    posts, out, bad = many(folder / "posts.jsonl", 60), tmp_path / "out.jsonl", tmp_path / "bad.jsonl"
    lines = posts.read_text().splitlines(keepends=True)
    lines[20] = lines[40] = '{"text"\n'
    posts.write_text("".join(lines))
    command = [posts, "--batch-size", 1, "--out", out]
    with pytest.raises(PostFormatError, match="line 21"):
        run(*command)

    write = ResumableFile.write

    def stop(file: ResumableFile, content: bytes, note: dict[str, Any]) -> None:
        write(file, content, note)
        if note["bad_posts"]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ResumableFile, "write", stop)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                run(*command, "--bad-posts", bad)
    assert not bad.exists()
    assert run(*command, "--bad-posts", bad) == 3
    assert "58 posts" in capsys.readouterr().err
    assert [result["id"] for result in written(out)] == [n for n in range(60) if n not in (20, 40)]
    reason = "expected a post as JSON (it is no JSON (Expecting ':' delimiter: line 1 column 8 (char 7)))"
    told = [{"file": str(posts), "line": line, "reason": reason, "raw": '{"text"'} for line in (21, 41)]
    assert written(bad) == told
    assert run(*command, "--bad-posts", bad, "--quiet") == 3  # anew
    assert written(bad) == told


def test_a_text_that_flair_cannot_split_is_put_aside(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = many(tmp_path / "posts.jsonl", 3)

    def refuse(text: str | list[str]) -> Sentence:
        if text == "mary oakland plays in new york sings we kevin":
            raise ValueError
        return Sentence(text)

    monkeypatch.setattr("flair_espvr.data.formats.record_sentences.Sentence", refuse)
    assert run(posts, "--out", tmp_path / "out.jsonl", "--bad-posts", tmp_path / "bad.jsonl") == 3
    (bad,) = written(tmp_path / "bad.jsonl")
    assert (bad["line"], json.loads(bad["raw"])["id"]) == (2, 1)
    assert "give its 'tokens'" in bad["reason"]
    assert len(written(tmp_path / "out.jsonl")) == 2


def test_another_model_does_not_go_on(run: Run, build: Callable[..., ESPVRTagger], model: Path, tmp_path: Path) -> None:
    posts = many(tmp_path / "posts.jsonl", 20)
    with posts.open("a") as file:
        file.write("{")
    with pytest.raises(PostFormatError):
        run(posts, "--batch-size", 1, "--out", tmp_path / "out.jsonl")
    build(window=2).save(model)
    with pytest.raises(ConfigurationError, match=r"model differ"):
        run(posts, "--batch-size", 1, "--out", tmp_path / "out.jsonl")


def test_an_exported_model_says_the_same(run: Run, model: Path, folder: Path, tmp_path: Path) -> None:
    ESPVRTagger.load(model).save_pretrained(tmp_path / "exported", include_backbone=True)
    posts = folder / "posts.jsonl"
    run(posts, "--out", tmp_path / "file.jsonl")
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    out = tmp_path / "folder.jsonl"
    predict.run(parser.parse_args([str(tmp_path / "exported"), str(posts), "--out", str(out)]))
    assert out.read_bytes() == (tmp_path / "file.jsonl").read_bytes()


def test_a_folder_that_is_no_model(tmp_path: Path, folder: Path) -> None:
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    with pytest.raises(UnsafeModelError, match=r"config\.json") as raised:
        predict.run(parser.parse_args([str(folder), str(folder / "posts.jsonl"), "--trust"]))
    assert "Flair" not in str(raised.value)


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_mixed_precision(
    command: str, model: Path, corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    predict_batch = ESPVRTagger.predict_batch

    def noted(tagger: ESPVRTagger, batch: list[Sentence], **options: Any) -> Any:
        seen.append(torch.is_autocast_enabled("cpu"))
        return predict_batch(tagger, batch, **options)

    monkeypatch.setattr(modes, "_cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(ESPVRTagger, "predict_batch", noted)
    posts = str(corpus_folder / "test.txt")
    for amp in ([], ["--amp"]):
        assert main.main([command, str(model), posts, "--out", str(tmp_path / f"out{len(amp)}"), *amp]) == 0
    assert seen == [False, True]


@pytest.mark.parametrize(("option", "message"), [(["--amp"], "amp differ"), (["--min-score", 0.5], "min_score differ")])
def test_a_run_with_other_settings_does_not_go_on(run: Run, tmp_path: Path, option: list[str], message: str) -> None:
    posts = many(tmp_path / "posts.jsonl", 20)
    with posts.open("a") as file:
        file.write("{")
    with pytest.raises(PostFormatError):
        run(posts, "--batch-size", 1, "--out", tmp_path / "out.jsonl")
    with pytest.raises(ConfigurationError, match=message):
        run(posts, "--batch-size", 1, "--out", tmp_path / "out.jsonl", *option)


def test_a_reader_that_has_seen_enough(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert main.main(["predict", str(model), str(many(tmp_path / "posts.jsonl", 20))]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept = os.dup(1)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    try:
        with open(1, "w", closefd=False) as stdout, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", stdout)
            assert main.main(["predict", str(model), "--text", "kevin"]) == 1
            os.dup2(kept, 1)  # what is left in its buffer goes there
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(full)
    assert "standard output" in capfd.readouterr().err


def test_a_store_in_place_of_the_models(
    run: Run, build: Callable[..., ESPVRTagger], model: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(RegionStoreError):
        run("--text", "kevin", "--image", folder / "0.png", "--store", tmp_path / "absent")
    tagger = build()
    assert tagger.region_embeddings is not None
    tagger.region_embeddings.use_store(tmp_path / "store")
    sentence = Sentence("kevin")
    sentence.add_metadata("image", folder / "0.png")
    tagger.predict(sentence)
    before = (tmp_path / "store" / "data.mdb").read_bytes()
    for name in ("0.png", "1.png"):  # one that it holds, one that is computed and not added
        assert run("--text", "kevin", "--image", folder / name, "--store", tmp_path / "store") == 0
    assert (tmp_path / "store" / "data.mdb").read_bytes() == before

    build(region_embeddings=None).save(model)
    with pytest.raises(ConfigurationError, match="reads no pictures"):
        run("--text", "kevin", "--store", tmp_path / "store")
    assert run(folder / "posts.jsonl") == 0  # and so no picture is bad


def test_flairs_own_tagger_where_it_is_trusted(
    run: Run, model: Path, tiny_bert: Path, corpus: Corpus[Sentence], folder: Path, tmp_path: Path
) -> None:
    embeddings = TransformerWordEmbeddings(str(tiny_bert), layers="-1", use_context=False)
    SequenceTagger(embeddings, corpus.make_label_dictionary("ner"), "ner", use_rnn=False, use_crf=False).save(model)
    with pytest.raises(UnsafeModelError, match="--trust"):
        run(folder / "posts.jsonl")
    assert run(folder / "posts.jsonl", "--trust", "--out", tmp_path / "out.jsonl") == 0
    assert [result.get("id") for result in written(tmp_path / "out.jsonl")] == ["a", "b", "a", None, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either INPUT"),
        (["posts.txt", "--text", "kevin"], "either INPUT"),
        (["posts.txt", "--image", "0.png"], "belong to --text"),
        (["--text", "kevin", "--format", "html"], "needs --out"),
        (["--text", "kevin", "--batch-size", "0"], "--batch-size"),
        (["--text", "kevin", "--min-score", "50"], "--min-score"),
    ],
)
def test_arguments_that_do_not_fit(run: Run, model: Path, arguments: list[str], message: str) -> None:
    model.unlink()  # none is loaded
    with pytest.raises(ConfigurationError, match=message):
        run(*arguments)


def test_what_is_not_there(run: Run, model: Path, tmp_path: Path) -> None:
    model.unlink()
    with pytest.raises(FileNotFoundError, match=r"absent\.txt"):
        run(tmp_path / "absent.txt")
    with pytest.raises(FileNotFoundError, match="no such model file"):
        run("--text", "kevin")


def test_a_suffix_that_nobody_knows_is_an_error(run: Run, folder: Path, tmp_path: Path) -> None:
    for name in ("out.json", "out.csv", "tagged.jsonl.gz"):
        with pytest.raises(ConfigurationError, match=f"{name}: the suffix .* tells no format to write; take one of"):
            run(folder / "posts.jsonl", "--out", tmp_path / name)
    assert run(folder / "posts.jsonl", "--out", tmp_path / "out.json", "--format", "jsonl", "--quiet") == 3
    assert len(written(tmp_path / "out.json")) == len(RECORDS)


def test_files_have_a_total_and_pipes_have_none(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many(folder / "more.jsonl", posts=300)
    assert run(folder, "--batch-size", 4, "--out", tmp_path / "out.jsonl") == 3
    bar = capsys.readouterr().err
    assert "/305 [" in bar
    assert "100%" in bar
    with stdin(b'{"text": "kevin"}'):
        assert run("-", "--out", tmp_path / "one.jsonl") == 0
    assert "%" not in capsys.readouterr().err


def test_a_page_counts_as_the_command_does(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.dumps({"text": "again", "image": "broken.png"})
    with open(folder / "posts.jsonl", "a", encoding="utf-8") as file:
        file.write(f"{record}\n")
    assert run(folder / "posts.jsonl", "--out", tmp_path / "out.html") == 3
    assert "6 posts, 5 with a picture" in (said := capsys.readouterr().err)
    assert "2 pictures cannot be read" in said
    page = html.parse(tmp_path / "out.html")
    counts = {one.find("dt").text: one.find("dd").text for one in page.xpath("//dl[@class='counts']/div")}
    assert counts["with picture"] == "5"
    assert counts["pictures unreadable"] == "2"


def test_words_without_spaces(run: Run, tmp_path: Path) -> None:
    words = ["kevin", "plays", "in", "oakland"]
    (tmp_path / "posts.txt").write_text("".join(f"{word}\n" for word in words))
    shown = []
    for options in ((), ("--no-spaces",)):
        assert run(tmp_path / "posts.txt", "--out", tmp_path / "out.jsonl", "--quiet", *options) == 0
        shown.append(written(tmp_path / "out.jsonl")[0]["entities"])
    for spaced, joined in zip(*shown, strict=True):
        assert spaced == {**joined, "text": spaced["text"]}
        assert joined["text"] == spaced["text"].replace(" ", "")
