"""Thousands of generated bad inputs for every loader, each in bounded time and memory: read, or the documented error.

Whole files are spoilt by flipped bits, cuts, and numbers that are out of any range; texts are put together from what
their formats are made of. Seeds are fixed.
"""

import io
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flair_espvr import ESPVRTagger
from flair_espvr.data.formats.captions import read_captions
from flair_espvr.data.formats.columns import read_posts
from flair_espvr.data.formats.csv_posts import csv_as_json_lines
from flair_espvr.data.formats.entity_regions import read_entity_regions
from flair_espvr.data.formats.jsonl_sentences import read_jsonl_sentences
from flair_espvr.data.formats.objects import read_objects
from flair_espvr.errors import (
    BadImageError,
    ConfigurationError,
    PostFormatError,
    RegionStoreError,
    UnsafeModelError,
)
from flair_espvr.images.loading import content_key, load_image
from flair_espvr.images.store.region_store import RegionStore
from flair_espvr.tagging.sources import PostFile
from flair_espvr.training.recipes.recipe_file import load_recipe

ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 2**31, 2**63, 10**30, 0.5, float("nan"), float("inf"), "", "\ud800", "../../x", "/dev/zero"),
    *([], {}, [[]], {"": None}, "x" * 10_000, [0] * 1_000),
]


def damaged(content: bytes, count: int, *, seed: int, hot: range | None = None) -> Iterator[bytes]:
    """Spoilt copies of a file; half of the damage falls into the `hot` bytes, where structure is."""
    choose = random.Random(seed)
    for _ in range(count):
        spoilt = bytearray(content)
        kind = choose.randrange(4)
        for _ in range(choose.choice([1, 1, 2, 8])):
            area = hot if hot is not None and choose.random() < 0.5 else range(len(spoilt))
            place = choose.choice(area)
            if kind == 0:
                del spoilt[place:]
                break
            width = choose.choice([1, 2, 4, 8])
            changes = {1: spoilt[place] ^ 1 << choose.randrange(8), 2: choose.randrange(256)}
            odd = [b"\xff" * width, bytes(width), bytes([changes.get(kind, 0x7F)])]
            change = odd[-1] if kind < 3 else choose.choice(odd)
            spoilt[place : place + len(change)] = change
        yield bytes(spoilt)


def texts(fragments: list[str], count: int, *, seed: int) -> Iterator[bytes]:
    """Files of fragments in any order, now and then with bytes that are not UTF-8."""
    choose = random.Random(seed)
    for _ in range(count):
        pieces = [
            piece.encode("utf-8", "surrogatepass") for piece in choose.choices(fragments, k=choose.randint(0, 40))
        ]
        if choose.random() < 0.2:
            pieces.insert(choose.randrange(len(pieces) + 1), choose.randbytes(3))
        yield b"".join(pieces)


def with_odd_value(content: Any, choose: random.Random) -> Any:
    """A copy with one value, anywhere in it, replaced or left out."""
    if not isinstance(content, dict | list) or not content or choose.random() < 0.15:
        return choose.choice(ODD_VALUES)
    if isinstance(content, list):
        place = choose.randrange(len(content))
        return [with_odd_value(item, choose) if index == place else item for index, item in enumerate(content)]
    key = choose.choice(list(content))
    if choose.random() < 0.1:
        return {name: value for name, value in content.items() if name != key}
    return {**content, key: with_odd_value(content[key], choose)}


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pictures(outcomes: Any, tally: Any, format_name: str) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, format_name)
    inputs = damaged(file.getvalue(), 120, seed=1, hot=range(min(120, len(file.getvalue()))))
    tally(f"picture, {format_name}", "damaged files", outcomes(load_image, inputs, BadImageError))


def test_picture_sources(outcomes: Any, tally: Any) -> None:
    sources = [*ODD_VALUES, "\0", "x" * 5_000, Path("/dev"), Path("/dev/zero"), Path("/proc/self/mem"), object, 1j]
    found = outcomes(lambda source: (load_image(source), content_key(source)), sources, BadImageError, TypeError)
    tally("picture", "values that are no picture", found)


POST_PIECES = [
    *("IMGID:1", "IMGID:", "\n", "\n", "\n", "\r\n", "\r", "\t", "\t", " ", "O", "B-PER", "I-LOC", "B-", "X-PER"),
    *(
        "Kevin",
        "\u200b",
        "\ufe0f",
        "\u2028",
        "\ufeff",
        "\0",
        "\ud800",
        "B-a b",
        "é",
        "名",
        "B-PER\n",
        "w\tO\n",
        "w O\n",
    ),
]


@pytest.mark.parametrize("image_ids", [True, False], ids=["IMGID", "CoNLL"])
def test_column_files(outcomes: Any, tally: Any, tmp_path: Path, image_ids: bool) -> None:
    def read(content: bytes) -> None:
        (tmp_path / "posts.txt").write_bytes(content)
        list(read_posts(tmp_path / "posts.txt", image_ids=image_ids))

    found = outcomes(read, texts(POST_PIECES, 200, seed=2), PostFormatError)
    tally(f"posts, {'IMGID' if image_ids else 'CoNLL'} columns", "generated files", found)


REGION_FIELDS = ("left", "top", "right", "bottom", "score")
POST = {
    "id": "7",
    "text": "Kevin \u200bDurant enters Oracle Arena",
    "image": "7.jpg",
    "caption": "a man",
    "entities": [
        {"start": 0, "end": 13, "type": "PER", "score": 0.5, "region": dict.fromkeys(REGION_FIELDS, 0.1)},
        {"start": 21, "end": 33, "type": "LOC"},
    ],
}


def test_jsonl_posts(outcomes: Any, tally: Any, tmp_path: Path) -> None:
    def read(content: bytes) -> None:
        (tmp_path / "posts.jsonl").write_bytes(content)
        list(read_jsonl_sentences(tmp_path / "posts.jsonl"))

    choose = random.Random(3)
    line = json.dumps(POST).encode()
    read(line)
    inputs = [json.dumps(with_odd_value(POST, choose)).encode() for _ in range(300)]
    inputs += [*damaged(line, 100, seed=4), b"[" * 100_000, b'{"text": ' + b"9" * 100_000, b'{"a":' * 5_000]
    tally("posts, JSONL", "generated files", outcomes(read, inputs, PostFormatError))


CAPTION_PIECES = [
    *("image_id\tcaption\n", "1\ta man\n", "1", "\t", "\t", "\n", "\r\n", "#", "# {}\n", "\0", "\ud800", "\u2028", " "),
    *('{"image_id": "1", "caption": "a man"}', '{"header": 1}', '{"image_id": 1}', "{", "[", '"', "null"),
]


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
def test_captions(outcomes: Any, tally: Any, tmp_path: Path, suffix: str) -> None:
    def read(content: bytes) -> None:
        (tmp_path / f"captions{suffix}").write_bytes(content)
        read_captions(tmp_path / f"captions{suffix}")

    inputs = [*texts(CAPTION_PIECES, 150, seed=5), b"[" * 100_000, b'{"a":' * 5_000]
    tally(f"captions, {suffix}", "generated files", outcomes(read, inputs, PostFormatError))


SIDE_FILES: dict[str, tuple[Callable[[Path], object], dict[str, Any]]] = {
    "objects": (read_objects, {"image_id": "7", "objects": [{"label": "cup", "score": 0.9, "box": [0, 0.1, 0.5, 1]}]}),
    "gold regions": (read_entity_regions, {"image_id": "7", "start": 0, "end": 2, "regions": [[0.1, 0.2, 0.5, 0.9]]}),
}


@pytest.mark.parametrize("kind", SIDE_FILES)
def test_files_beside_posts(outcomes: Any, tally: Any, tmp_path: Path, kind: str) -> None:
    reader, record = SIDE_FILES[kind]

    def read(content: bytes) -> None:
        (tmp_path / "side.jsonl").write_bytes(content)
        reader(tmp_path / "side.jsonl")

    choose = random.Random(12)
    line = json.dumps(record).encode()
    read(line)
    inputs = [json.dumps(with_odd_value(record, choose)).encode() for _ in range(100)]
    tally(f"{kind}, JSONL", "generated files", outcomes(read, [*inputs, *damaged(line, 50, seed=13)], PostFormatError))


CSV_PIECES = ["text", "id", "image", "entities", ",", ",", "\n", '"', '"a, b"', "[]", '[{"start":0}]', "a\0", "\r", ";"]


def test_csv_posts(outcomes: Any, tally: Any, tmp_path: Path) -> None:
    def read(content: bytes) -> None:
        (tmp_path / "posts.csv").write_bytes(content)
        list(csv_as_json_lines(tmp_path / "posts.csv"))

    inputs = [*texts(CSV_PIECES, 150, seed=14), *(b"id,text\n" + rows for rows in texts(CSV_PIECES, 150, seed=15))]
    tally("posts, CSV", "generated files", outcomes(read, inputs, PostFormatError))


def test_parquet_posts(outcomes: Any, tally: Any, tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {"text": [f"Kevin plays in {number}" for number in range(300)], "image": [{"bytes": b"x" * 9}] * 300}
    parquet.write_table(arrow.table(table), tmp_path / "posts.parquet")
    good = (tmp_path / "posts.parquet").read_bytes()

    def read(content: bytes) -> None:
        (tmp_path / "posts.parquet").write_bytes(content)
        list(PostFile(tmp_path / "posts.parquet").posts())

    read(good)
    tally("posts, Parquet", "damaged files", outcomes(read, damaged(good, 150, seed=16), PostFormatError))


RECIPE = {
    "corpus": {"type": "columns", "folder": "posts", "label_name_map": {"OTHER": "MISC"}},
    "embeddings": {"type": "stack", "parts": [{"type": "captioned_transformer", "model": "bert"}]},
    "regions": {"model": "swin", "image_size": 384},
    "model": {"type": "espvr", "window": 8, "dropout": 0.4},
    "training": {"type": "fine_tune", "learning_rate": 1e-4},
    "seeds": [1, 2],
}
YAML_PIECES = [
    *("corpus:\n", "  folder: x\n", "training: {learning_rate: 1e-4}\n", "embeddings: {model: m}\n", "seeds: [1]\n"),
    *(
        "&a [*a]",
        "*a",
        "!!python/object/apply:os.system ['true']",
        "extends: recipe.yaml\n",
        "extends: /dev\n",
        "\t",
        "\0",
    ),
    *("? ", "- ", ": ", "{", "}", "[", "]", "|\n", "1e-4", "<<: ", "2024-99-99", "0x", "'", "\ud800", "\n"),
]


def test_recipes(outcomes: Any, tally: Any, tmp_path: Path) -> None:
    def read(content: bytes) -> None:
        (tmp_path / "recipe.yaml").write_bytes(content)
        load_recipe(tmp_path / "recipe.yaml")

    aliases = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    read(json.dumps(RECIPE).encode())
    choose = random.Random(6)
    inputs = [json.dumps(with_odd_value(RECIPE, choose)).encode() for _ in range(200)]
    inputs += [*texts(YAML_PIECES, 150, seed=7), b"[" * 20_000, aliases.encode()]
    tally("recipe", "generated files", outcomes(read, inputs, ConfigurationError, FileNotFoundError))


def test_damaged_model_files(outcomes: Any, tally: Any, model_bytes: bytes, tmp_path: Path) -> None:
    def read(content: bytes) -> None:
        (tmp_path / "model.pt").write_bytes(content)
        ESPVRTagger.load(tmp_path / "model.pt")

    pickled = model_bytes.index(b"data.pkl")
    inputs = damaged(model_bytes, 150, seed=8, hot=range(pickled, pickled + 12_000))
    tally("model file", "damaged files", outcomes(read, inputs, UnsafeModelError))


def test_model_files_of_odd_values(outcomes: Any, tally: Any, state: dict[str, Any], tmp_path: Path) -> None:
    def read(content: dict[str, Any]) -> None:
        torch.save({**state, **content}, tmp_path / "model.pt")
        ESPVRTagger.load(tmp_path / "model.pt")

    choose = random.Random(9)
    settings = {name: value for name, value in state.items() if name != "state_dict"}
    inputs = (with_odd_value(settings, choose) for _ in range(120))
    found = outcomes(
        read,
        (item for item in inputs if isinstance(item, dict)),
        UnsafeModelError,
        ConfigurationError,
        RegionStoreError,
    )
    tally("model file", "files with odd values", found)


def test_exports(outcomes: Any, tally: Any, export: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(export, folder)

    def read(spoilt: tuple[str, bytes]) -> None:
        name, content = spoilt
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        try:
            ESPVRTagger.from_pretrained(folder)
        finally:
            (folder / name).write_bytes(good)

    choose = random.Random(10)
    settings = json.loads((export / "config.json").read_bytes())
    inputs = [("config.json", json.dumps(with_odd_value(settings, choose)).encode()) for _ in range(80)]
    for name in ("config.json", "model.safetensors", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"):
        inputs += [(name, content) for content in damaged((export / name).read_bytes(), 30, seed=11, hot=range(200))]
    found = outcomes(read, inputs, UnsafeModelError)
    tally("exported folder", "damaged files", found)


@pytest.mark.parametrize("writable", [False, True], ids=["reading", "writing"])
def test_region_stores(outcomes: Any, tally: Any, store_bytes: bytes, tmp_path: Path, writable: bool) -> None:
    number = 0

    def use(content: bytes) -> None:
        nonlocal number
        number += 1  # a process has one environment a folder
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "data.mdb").write_bytes(content)
        with RegionStore(folder, writable=writable) as store:
            keys = list(store.keys())
            store.verify()
            store.get_many([key for key in keys if len(key) == 16])
            if writable:
                added = [place.to_bytes(4, "big") * 4 for place in range(10**6, 10**6 + 40)]
                store.put_many({key: np.zeros(store.header.shape) for key in added})
                store.verify()
        shutil.rmtree(folder)

    inputs = copied_badly(store_bytes, value_places(store_bytes), 200, seed=12 + writable)
    tally(
        f"region store, {'writing' if writable else 'reading'}",
        "files cut off or with flipped bits in values, some of them no longer in use",
        outcomes(use, inputs, RegionStoreError),
    )


def value_places(content: bytes) -> list[int]:
    """Where the bytes of values lie in a store's file; all others are LMDB's own."""
    values = [np.full((1 + 2 * 3, 40), number, dtype="<f2").tobytes() for number in (40, 80)]  # zeros are everywhere
    matches = [match for value in values for match in re.finditer(re.escape(value), content)]
    return [place for match in matches for place in range(*match.span())]


def copied_badly(content: bytes, places: list[int], count: int, *, seed: int) -> Iterator[bytes]:
    """Copies of a store that broke off, or with some flipped bits in values: what users meet."""
    choose = random.Random(seed)
    for number in range(count):
        if number % 4 == 0:
            yield content[: choose.randrange(1, len(content))]
        else:
            spoilt = bytearray(content)
            for place in choose.sample(places, choose.choice([1, 1, 2, 8])):
                spoilt[place] ^= 1 << choose.randrange(8)
            yield bytes(spoilt)
