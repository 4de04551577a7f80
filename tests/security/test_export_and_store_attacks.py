"""Exported folders, region stores, pictures and recipes made to do harm: refused, with the error of their kind."""

import json
import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
import torch

from flair_espvr import ESPVRTagger
from flair_espvr.data.formats.captions import read_captions
from flair_espvr.data.formats.columns import read_posts
from flair_espvr.data.formats.jsonl_sentences import read_jsonl_sentences
from flair_espvr.embeddings.image.backbone_weights import read_weights
from flair_espvr.errors import (
    BadImageError,
    ConfigurationError,
    PostFormatError,
    RegionStoreError,
    UnsafeModelError,
)
from flair_espvr.images.loading import load_image
from flair_espvr.images.store.region_store import RegionStore
from flair_espvr.training.recipes.recipe_file import load_recipe

EXPORT, STORE, PICTURE = "exported folder", "region store", "picture"


@pytest.fixture
def folder(export: Path, tmp_path: Path) -> Path:
    """A copy of a good export, to spoil."""
    shutil.copytree(export, tmp_path / "export")
    return tmp_path / "export"


def header(tensors: Any) -> bytes:
    content = json.dumps(tensors).encode()
    return struct.pack("<Q", len(content)) + content


@pytest.mark.parametrize(
    ("fault", "content"),
    [
        ("a header of 2^63 bytes", struct.pack("<Q", 2**63) + b"{}"),
        ("a header of 10 GB", struct.pack("<Q", 10**10) + b"{}"),
        ("a header longer than the file", struct.pack("<Q", 10**6) + b"{}"),
        (
            "a tensor of 10^18 values",
            header({"a": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}}) + bytes(4),
        ),
        (
            "offsets that overlap",
            header({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}) + bytes(4),
        ),
        ("no bytes", b""),
        ("no tensors", header({})),
    ],
)
def test_weights_of_an_export(folder: Path, refused: Any, fault: str, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with refused(EXPORT, f"`model.safetensors` with {fault}", UnsafeModelError):
        ESPVRTagger.from_pretrained(folder)


def test_a_pickle_in_place_of_weights(folder: Path, refused: Any, payload: object) -> None:
    torch.save(payload, folder / "model.safetensors")
    with refused(EXPORT, "`os.system` payload, pickled, as `model.safetensors`", UnsafeModelError):
        ESPVRTagger.from_pretrained(folder)


@pytest.mark.parametrize("name", ["../other", "/etc", "tokenizer/../..", "tokenizer_1000000", 3])
def test_a_tokenizer_elsewhere(folder: Path, refused: Any, name: object) -> None:
    settings = json.loads((folder / "config.json").read_bytes())
    settings["embeddings"]["tokenizer_data"]["folder"] = name
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    with refused(EXPORT, f"tokenizer in the folder `{name}`", UnsafeModelError):
        ESPVRTagger.from_pretrained(folder)


def test_files_of_a_tokenizer(folder: Path, refused: Any) -> None:
    file = folder / "tokenizer" / "tokenizer.json"
    content = file.read_bytes()
    file.unlink()
    os.mkfifo(file)
    with refused(EXPORT, "tokenizer with a pipe", UnsafeModelError, "regular file"):
        ESPVRTagger.from_pretrained(folder)
    file.unlink()
    file.symlink_to("/dev/zero")
    with refused(EXPORT, "tokenizer with a link to `/dev/zero`", UnsafeModelError, "regular file"):
        ESPVRTagger.from_pretrained(folder)
    file.unlink()
    file.write_bytes(content)
    # Code and vocabularies beside the files that are read are nobody's business.
    (folder / "tokenizer" / "tokenization_evil.py").write_text("raise SystemExit")
    os.mkfifo(folder / "tokenizer" / "vocab.txt")
    assert ESPVRTagger.from_pretrained(folder).tags.types


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "backbone.safetensors", "tokenizer"])
def test_missing_parts(folder: Path, refused: Any, name: str) -> None:
    (folder / name).rename(folder.parent / name)
    with refused(EXPORT, f"no `{name}`", UnsafeModelError):
        ESPVRTagger.from_pretrained(folder)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"format": "other"}', b"\xff", b"null", b'{"a": 1e999}'])
def test_settings_of_an_export(folder: Path, refused: Any, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with refused(EXPORT, f"`config.json` that begins `{content[:12]!r}`", UnsafeModelError):
        ESPVRTagger.from_pretrained(folder)


@pytest.mark.parametrize("depth", [900, 5_000, 100_000])
def test_settings_that_nest(folder: Path, refused: Any, depth: int) -> None:
    settings = json.loads((folder / "config.json").read_bytes())
    nested = json.dumps({**settings, "model_card": "here"}).replace('"here"', "[" * depth + "]" * depth)
    (folder / "config.json").write_text(nested, encoding="utf-8")
    with refused(EXPORT, f"`config.json` of lists in lists, {depth:,} deep", UnsafeModelError, "damaged"):
        ESPVRTagger.from_pretrained(folder)


def test_a_pickle_as_a_backbone(tmp_path: Path, refused: Any, payload: object) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1), "b": payload}}, tmp_path / "evil.pth")
    with refused(
        "backbone checkpoint", "`os.system` payload beside the weights", UnsafeModelError, "nothing in it was run"
    ):
        read_weights(tmp_path / "evil.pth")


def test_a_store_with_a_header_that_claims_too_much(store_bytes: bytes, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "data.mdb").write_bytes(store_bytes)
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
        claims = json.loads(transaction.get(b"header")) | {"grid": [10**5, 10**5]}
        transaction.put(b"header", json.dumps(claims).encode())
    with refused(STORE, "header that claims 10^10 regions a picture", RegionStoreError, "more than the limit"):
        RegionStore(tmp_path)


@pytest.mark.parametrize(
    ("fault", "place", "value"),
    [
        ("a page size of 0", 16 + 24, bytes(4)),
        ("a page size of 3 bytes", 16 + 24, b"\x03\0\0\0"),
        ("a last page beyond its end", 16 + 24 + 96, b"\xff" * 4),
        ("another version", 16 + 4, b"\x09\0\0\0"),
    ],
)
def test_first_pages_of_a_store(
    store_bytes: bytes, tmp_path: Path, refused: Any, fault: str, place: int, value: bytes
) -> None:
    spoilt = bytearray(store_bytes)
    for page in (0, 4096):
        spoilt[page + place : page + place + len(value)] = value
    (tmp_path / "data.mdb").write_bytes(spoilt)
    with refused(STORE, f"`data.mdb` with {fault}", RegionStoreError):
        list(RegionStore(tmp_path).keys())


def test_a_store_cut_off_at_any_page(store_bytes: bytes, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "data.mdb").write_bytes(store_bytes[: len(store_bytes) // 2])
    with refused(STORE, "`data.mdb` cut in half", RegionStoreError, "cut off"):
        RegionStore(tmp_path)


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb"])
@pytest.mark.parametrize("kind", ["a link", "a link to nothing", "a pipe", "a folder"])
def test_files_of_a_store_that_are_none(
    store_bytes: bytes, tmp_path: Path, refused: Any, kind: str, name: str, writable: bool
) -> None:
    victim, store = tmp_path / "victim", tmp_path / "store"
    store.mkdir()
    (store / "data.mdb").write_bytes(store_bytes)
    (store / name).unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(store / name)
    elif kind == "a folder":
        (store / name).mkdir()
    else:
        (store / name).symlink_to(victim)
    if kind == "a link":
        victim.write_bytes(store_bytes if name == "data.mdb" else b"mine")
    before = victim.read_bytes() if victim.exists() else None
    with refused(STORE, f"{kind} as `{name}`", RegionStoreError, "no region store|should be a regular file"):
        RegionStore(store, writable=writable)
    assert (victim.read_bytes() if victim.exists() else None) == before


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a few zeros."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (8_000, 8_000), (0, 5)])
def test_pictures(refused: Any, size: tuple[int, int]) -> None:
    with refused(PICTURE, f"PNG of some bytes that claims {size[0]:,} x {size[1]:,} pixels", BadImageError):
        load_image(png(*size))


def test_files_that_would_be_read_for_ever(tmp_path: Path, refused: Any) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), Path("/dev")):
        with refused(PICTURE, f"`{path if path != pipe else 'a pipe'}` in place of a file", BadImageError):
            load_image(path)
    (tmp_path / "recipe.yaml").write_text("extends: /dev/zero", encoding="utf-8")
    with refused("recipe", "`extends: /dev/zero`", ConfigurationError):
        load_recipe(tmp_path / "recipe.yaml")


def test_code_in_texts_stays_text(tmp_path: Path, canary: Path, refused: Any) -> None:
    path = tmp_path / "evil"
    path.write_text(f"corpus: !!python/object/apply:os.system ['touch {canary}']", encoding="utf-8")
    with refused("recipe", "`!!python/object/apply:os.system`", ConfigurationError):
        load_recipe(path)
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    with refused("captions", "random bytes", PostFormatError):
        read_captions(path)
    with refused("posts", "random bytes as columns", PostFormatError):
        list(read_posts(path))
    with refused("posts", "random bytes as JSONL", PostFormatError):
        list(read_jsonl_sentences(path))
