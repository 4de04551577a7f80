"""Blocks of posts: together they are the stream that one process reads, and their shards are what it writes."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr import ESPVRTagger
from flair_espvr.data import Post
from flair_espvr.data.post import BadPost
from flair_espvr.errors import ConfigurationError, PostFormatError
from flair_espvr.tagging import PostTagging, posts_from, write_tagged
from flair_espvr.tagging.block_tagger import BlockTagger, TaggingJob
from flair_espvr.tagging.blocks import block_posts, blocks_of
from flair_espvr.tagging.sources import PostFile

Build = Callable[..., ESPVRTagger]

LINES = st.sampled_from(
    [
        "",
        " \t",
        "\r",
        '{"text": "kevin"}',
        '{"text": "in oakland", "id": 7}\r',
        "{",
        "IMGID:1",
        "IMGID:",
        "new\tB-LOC",
        "a b c",
    ]
)


@given(st.lists(st.lists(LINES, max_size=12), min_size=1, max_size=3), st.integers(1, 5), st.booleans())
def test_blocks_together_are_the_files(tmp_path_factory, texts, size, has_mark):
    folder = tmp_path_factory.mktemp("posts")
    files = []
    for number, lines in enumerate(texts):
        files.append(PostFile(folder / f"{number}.{'txt' if number % 2 else 'jsonl'}"))
        files[-1].path.write_bytes((b"\xef\xbb\xbf" if has_mark else b"") + "\n".join(lines).encode())
    expected = [post for file in files for post in file.posts(keep_bad=True)]
    blocks = list(blocks_of(files, size))
    assert [post for block in blocks for post in block_posts(block, files, keep_bad=True)] == expected
    assert [block.posts for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert sorted(block.name for block in blocks) == [block.name for block in blocks]


def test_a_blocks_name_changes_with_its_posts_and_with_no_others(tmp_path):
    file = PostFile(tmp_path / "posts.jsonl")

    def names(*texts):
        file.path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        return [block.name for block in blocks_of([file], 2)]

    before = names("a", "b", "c", "d", "e")
    assert names("a", "b", "c", "D", "e") == [before[0], *names("a", "b", "c", "D", "e")[1:]]
    assert names("a", "b", "c", "D", "e")[1] != before[1]
    assert names("a", "b", "c", "d", "e", "f")[:2] == before[:2]


def test_malformed_posts_are_put_aside_in_their_place(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": \n\xff\n{"tokens": ["b"], "id": 1}\n')
    first, broken, bytes_, last = PostFile(path).posts(keep_bad=True)
    assert (first.record, last.record) == ({"text": "a"}, {"tokens": ["b"], "id": 1})
    assert (broken.file, broken.line, broken.raw) == (str(path), 2, '{"text": ')
    assert broken.reason.startswith("expected a post as JSON (it is no JSON")
    assert (bytes_.line, bytes_.raw, bytes_.reason) == (3, "\\xff", "expected UTF-8 text")

    path = tmp_path / "posts.txt"
    path.write_text("IMGID:1\na\tO\n\nIMGID:2\na b c d\nb\tO\n\nIMGID:3\nc\tO\n")
    good, bad, also_good = PostFile(path).posts(keep_bad=True)
    assert (good.tokens, also_good.tokens) == (("a",), ("c",))
    assert (bad.line, bad.raw) == (5, "IMGID:2\na b c d\nb\tO")
    with pytest.raises(PostFormatError, match="line 5"):
        list(PostFile(path).posts())


@pytest.fixture
def folder(tmp_path: Path, pictures: list[Path]) -> Path:
    """Files of two kinds, with pictures good and bad, a caption for some, and malformed lines."""
    folder = tmp_path / "posts"
    folder.mkdir()
    words = ["kevin", "mary", "oakland", "plays", "in", "new", "york", "sings", "we"]
    lines: list[Any] = [
        {"id": n, "text": " ".join(words[n % 9 :] + words[: n % 7]), "image": f"{n % 5}.png"} for n in range(90)
    ]
    lines[40:40] = [{"tokens": [""]}, {"text": 1}]
    (folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "no post\n")
    posts = [f"IMGID:{n % 4}\n" + "\n".join(words[n % 9 :]) + "\n" for n in range(30)]
    (folder / "b.txt").write_text("\n".join([*posts, "no post\n"]))
    for picture in pictures:
        (folder / picture.name).write_bytes(picture.read_bytes())
    (folder / "captions.tsv").write_text("2\tmary in oakland\n")
    return folder


@pytest.fixture
def job(folder: Path, build: Build, tmp_path: Path) -> TaggingJob:
    """Blocks of 32 posts."""
    tagger = build()
    tagger.network.tag_emissions.bias.data[1] += 2.0
    tagger.save(tmp_path / "model.pt")
    return TaggingJob(
        tmp_path / "model.pt", (str(folder),), tmp_path / "out", batch_size=2, windows=1, keep_bad=True, device="cpu"
    )


def one_process(job: TaggingJob, out: Path) -> PostTagging:
    posts, _ = posts_from(job.inputs, keep_bad=job.keep_bad)
    tagger = ESPVRTagger.load(job.model)
    tagging = PostTagging(tagger, posts, batch_size=job.batch_size, keep_bad=job.keep_bad)
    write_tagged(tagging, out, format=job.format, made_by={}, progress=False)
    return tagging


def tag_all(job: TaggingJob) -> Any:
    names = []
    with job.shards.begin(job.settings()):
        worker = BlockTagger(job)
        worker.load()
        for block in reversed(list(job.blocks())):
            worker.tag(block)
            names.insert(0, block.name)
        return job.shards.finish(names, job.settings())


@pytest.mark.parametrize("format_", ["jsonl", "columns"])
def test_the_shards_are_what_one_process_writes(job: TaggingJob, tmp_path: Path, format_: str) -> None:
    job = replace(job, format=format_)
    tagging, totals = one_process(job, tmp_path / "one"), tag_all(job)
    shards = sorted((job.out / "shards").iterdir())
    assert len(shards) == 4
    assert b"".join(shard.read_bytes() for shard in shards) == (tmp_path / "one").read_bytes()
    for name in ("posts", "entities", "images"):
        assert getattr(totals, name) == getattr(tagging, name) > 0
    assert sorted(totals.bad_images.lines()) == sorted(tagging.bad_images.lines())
    assert list(totals.bad_posts.lines()) == list(tagging.bad_posts.lines())
    last = (tmp_path / "posts" / "b.txt").read_text().count("\n")
    assert [json.loads(line)["line"] for line in totals.bad_posts.lines()] == [41, 42, 93, last]

    manifest = json.loads((job.out / "manifest.json").read_text())
    assert manifest["complete"]
    assert [job.out / shard["file"] for shard in manifest["shards"]] == shards
    assert manifest["posts"] == tagging.posts == 120


def test_shards_of_parquet_hold_the_rows_of_jsonl(job: TaggingJob, tmp_path: Path) -> None:
    dataset = pytest.importorskip("pyarrow.dataset")
    one_process(job, tmp_path / "one")
    totals = tag_all(replace(job, format="parquet"))
    rows = dataset.dataset(sorted((job.out / "shards").iterdir())).to_table().to_pylist()
    records = [json.loads(line) for line in (tmp_path / "one").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len(records) == totals.posts == 120
    for row, record in zip(rows, records, strict=True):
        entities = [
            {
                **entity,
                "grounded": entity.get("grounded"),
                "region": place and {"times_even": None, "image": None, **place},
            }
            for entity in record.pop("entities")
            for place in [entity["region"]]
        ]
        assert row.pop("entities") == entities
        record |= json.loads(row.pop("other") or "{}")
        assert {name: value for name, value in row.items() if value is not None} == {**record, "id": str(record["id"])}
    tagged = PostFile(sorted((job.out / "shards").iterdir())[0]).posts()
    assert next(tagged).record["text"] == records[0]["text"]  # read again by this package


def test_a_folder_is_taken_up_where_it_was_left(job: TaggingJob, folder: Path) -> None:
    tag_all(job)
    shards = sorted((job.out / "shards").iterdir())
    before = {shard: shard.read_bytes() for shard in shards}
    os.utime(shards[0], (0, 0))
    shards[2].unlink()
    (job.out / "shards" / ".left.part").write_bytes(b"half")
    with (folder / "b.txt").open("a") as file:
        file.write("\nIMGID:5\nkevin\n")
    tag_all(job)
    after = sorted((job.out / "shards").iterdir())
    assert after[:3] == shards[:3]  # the fourth has one post more, and another name
    assert [shard.read_bytes() for shard in after[:3]] == [before[shard] for shard in shards[:3]]
    assert after[0].stat().st_mtime == 0
    assert len(after) == 4


def test_whatever_else_a_folder_holds_is_left_alone(job: TaggingJob, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds something else"):
        replace(job, out=folder).shards.begin({})
    lock = job.shards.begin(job.settings())
    with pytest.raises(ConfigurationError, match="another process"):
        job.shards.begin(job.settings())
    lock.release()
    with pytest.raises(ConfigurationError, match=r"other settings \(batch_size differ\)"):
        job.shards.begin(replace(job, batch_size=4).settings())
    with pytest.raises(ConfigurationError, match="expected a file, which several processes can read"):
        next(replace(job, inputs=("-",)).blocks())


def test_parquet_is_read_as_jsonl_is(tmp_path: Path, pictures: list[Path]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    records = [{"id": n, "text": f"kevin {n}", "image": pictures[n % 4].name, "caption": None} for n in range(700)]
    folder = pictures[0].parent
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "posts.parquet", row_group_size=300)
    files = [PostFile(tmp_path / "posts.parquet")]
    rows = list(files[0].posts())
    for row, line in zip(rows, PostFile(tmp_path / "posts.jsonl").posts(), strict=True):
        nothing = {name: value for name, value in line.record.items() if value is not None}
        assert replace(row, source="") == replace(line, source="", record=nothing)
    assert [post for block in blocks_of(files, 150) for post in block_posts(block, files)] == rows

    content = [{"text": "a", "image": (folder / "0.png").read_bytes()}, {"text": None, "image": b""}, {"text": "b"}]
    parquet.write_table(pyarrow.Table.from_pylist(content), tmp_path / "bytes.parquet")
    first, second, third = PostFile(tmp_path / "bytes.parquet").posts(keep_bad=True)
    assert isinstance(first, Post)
    assert (first.image, first.record, first.image_id) == (content[0]["image"], {"text": "a"}, "1")
    assert isinstance(second, BadPost)
    assert (second.line, "neither 'text'" in second.reason) == (2, True)
    assert third.image is None
    assert first.fingerprint() != replace(first, image=b"another").fingerprint()
    (tmp_path / "none.parquet").write_bytes(b"nothing")
    with pytest.raises(PostFormatError, match="expected a Parquet file"):
        list(PostFile(tmp_path / "none.parquet").posts())
