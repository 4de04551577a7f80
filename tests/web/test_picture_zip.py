"""A visitor's zip unpacks below its folder or not at all."""

import io
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_espvr.web.limits import Limits, RefusedError
from flair_espvr.web.picture_zip import unpack_pictures

Entry = tuple[str | zipfile.ZipInfo, bytes]


def zip_of(entries: Sequence[Entry], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def unpacked(content: bytes, folder: Path, limits: Limits | None = None) -> dict[str, bytes]:
    """What is below the folder that the zip was unpacked in; there is nothing beside it but the zip."""
    (folder / "pictures.zip").write_bytes(content)
    inside = folder / "inside"
    inside.mkdir()
    count = unpack_pictures(folder / "pictures.zip", inside, limits or Limits())
    found = {str(path.relative_to(inside)): path.read_bytes() for path in inside.rglob("*") if path.is_file()}
    assert count == len(found)
    return found


def linked(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def test_pictures_keep_their_names_and_other_files_are_left_out(tmp_path: Path) -> None:
    content = zip_of([("a.png", b"a"), ("deep/er/b.JPG", b"b"), ("posts.jsonl", b"{}"), ("__MACOSX/._a", b"x")])
    assert unpacked(content, tmp_path) == {"a.png": b"a", "deep/er/b.JPG": b"b"}


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([("../a.png", b"a")], "leads elsewhere: '../a.png'"),
        ([("deep/../../a.png", b"a")], "leads elsewhere"),
        ([("/a.png", b"a")], "leads elsewhere"),
        ([("..\\a.png", b"a")], "leads elsewhere"),
        ([("C:a.png", b"a")], "leads elsewhere"),
        ([(linked("a.png"), b"/etc/passwd")], "a link or a device"),
        ([("a.png", b"a"), ("a.png/b.png", b"b")], "a bad name|two files of one name"),
        ([("a" * 300 + ".png", b"a")], "a bad name"),
        ([("a.png", bytes(2_000))], "a picture is larger"),
        ([(f"{number}.txt", bytes(900)) for number in range(4)], "take more than"),
        ([(f"{number}.png", b"") for number in range(6)], "more than 5 files"),
    ],
)
def test_what_is_refused(tmp_path: Path, entries: Sequence[Entry], reason: str) -> None:
    limits = Limits(picture_bytes=1_000, zip_bytes=3_000, zip_files=5)
    with pytest.raises(RefusedError, match=f"(?i){reason}"):
        unpacked(zip_of(entries), tmp_path, limits)
    assert {path.name for path in tmp_path.iterdir()} == {"pictures.zip", "inside"}


def test_two_files_of_one_name(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = zip_of([("a.png", b"a"), ("a.png", b"b")])
    with pytest.raises(RefusedError, match="two files of one name"):
        unpacked(content, tmp_path)


def test_other_compressions_and_passwords(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="not stored or deflated"):
        unpacked(zip_of([("a.png", b"a")], zipfile.ZIP_LZMA), tmp_path)
    content = bytearray(zip_of([("a.png", b"a")]))
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption, in the directory
    (tmp_path / "inside").rmdir()
    with pytest.raises(RefusedError, match="encrypted"):
        unpacked(bytes(content), tmp_path)


def test_a_file_is_no_longer_than_it_says(tmp_path: Path) -> None:
    """The size in the directory is what is judged; the compressed data behind it hold a hundred times as much."""
    content = bytearray(zip_of([("a.png", bytes(100_000))]))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = content.index(signature) + offset
        content[place : place + 4] = (1_000).to_bytes(4, "little")
    with pytest.raises(RefusedError, match="cannot be read"):
        unpacked(bytes(content), tmp_path, Limits(picture_bytes=1_000))


@settings(deadline=None, max_examples=50)
@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_a_damaged_zip_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, place: int, value: int) -> None:
    content = bytearray(zip_of([("a.png", b"a picture"), ("b/c.png", b"another"), ("d.txt", b"text")]))
    content[place % len(content)] = value
    folder = tmp_path_factory.mktemp("damaged")
    try:
        unpacked(bytes(content), folder)
    except RefusedError:
        assert {path.name for path in folder.iterdir()} == {"pictures.zip", "inside"}


def test_no_zip(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be read"):
        unpacked(b"no zip", tmp_path)
