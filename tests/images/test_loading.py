import copy
import io
import os
import subprocess
import sys
import threading
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from flair_espvr.errors import BadImageError
from flair_espvr.images.folder import ImageFolder
from flair_espvr.images.loading import (
    KEY_BYTES,
    PathBelow,
    content_key,
    describe_source,
    image_bytes,
    image_format,
    load_image,
    squashed_pixels,
)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def encoded(image: Image.Image, format_name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def photograph(width: int = 61, height: int = 37) -> Image.Image:
    """Smooth, coloured, and unlike itself in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([4 * x % 256, 6 * y % 256, 255 - 2 * (x + y) % 256], axis=-1).astype(np.uint8))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_pixels_and_open_files_are_pictures():
    picture = photograph()
    array, file = np.asarray(picture), io.BytesIO(encoded(picture, "PNG"))
    file.seek(5)
    tensor = torch.from_numpy(array.copy())
    for source in (file, array, array[:, ::-1][:, ::-1], tensor, tensor.permute(2, 0, 1)):
        assert load_image(source).tobytes() == picture.tobytes()
    assert content_key(file) == content_key(file.getvalue())
    assert content_key(array) == content_key(tensor.permute(2, 0, 1)) == content_key(picture)
    assert describe_source(tensor) == "<RGB picture of 61 x 37 pixels>"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (7, "BytesIO, a PIL image, or pixels as an array or tensor; got <class 'int'>"),
        ([[0]], "got <class 'list'>"),
        (np.zeros((2, 2, 3)), r"uint8 of the shape \(H, W, 3\).*; got float64 \(2, 2, 3\)"),
        (np.zeros((3, 2, 2), np.uint8), r"got uint8 \(3, 2, 2\)"),
        (torch.zeros(3, 2, 2), "got float32"),
    ],
)
def test_what_is_no_picture_is_a_type_error(source, message):
    for read in (load_image, content_key, describe_source):
        with pytest.raises(TypeError, match=message):
            read(source)


def test_web_addresses_are_not_fetched():
    for address in ("https://example.org/a.jpg", "HTTP://example.org/a.jpg", "data:image/png;base64," + "A" * 9999):
        with pytest.raises(BadImageError, match="is a web address, and pictures are not fetched") as raised:
            load_image(address)
        assert len(str(raised.value)) < 200
        assert "AAA" not in str(raised.value)
        with pytest.raises(BadImageError, match="not fetched"):
            content_key(PathBelow(address, "."))


def reads_avif() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # before 11.3 Pillow does not know the feature's name
        return bool(features.check("avif"))


@pytest.mark.skipif(not reads_avif(), reason="this Pillow reads no AVIF")
def test_avif_is_read_where_pillow_reads_it(monkeypatch):
    content = encoded(photograph(), "AVIF")
    assert np.abs(pixels(load_image(content)) - pixels(Image.open(io.BytesIO(content)))).max() == 0
    monkeypatch.setattr("flair_espvr.images.loading.features.check", lambda name: False)
    with pytest.raises(BadImageError, match="is AVIF, which this Pillow does not read"):
        load_image(content)


def test_heic_is_read_with_the_extra(monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif", reason="writes HEIC, which nothing here does otherwise")
    pytest.importorskip("pi_heif", reason="the extra heic is not installed")
    file = io.BytesIO()
    pillow_heif.from_pillow(photograph()).save(file, quality=95)
    assert np.abs(pixels(load_image(file)) - pixels(photograph())).mean() < 8
    monkeypatch.setattr("flair_espvr.images.loading._reads_heif", lambda: False)
    with pytest.raises(BadImageError, match=r"pip install 'flair-espvr\[heic\]'"):
        load_image(file)


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_is_read_as_pillow_reads_it(format_name, tmp_path):
    content = encoded(photograph(), format_name)
    path = tmp_path / "misnamed.xyz"
    path.write_bytes(content)
    expected = Image.open(io.BytesIO(content)).convert("RGB")
    for source in (content, path, str(path), Image.open(io.BytesIO(content))):
        picture = load_image(source)
        assert picture.mode == "RGB"
        assert picture.tobytes() == expected.tobytes()
    assert image_format(content[:12]) == format_name


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_are_turned_upright_as_pillow_turns_them(orientation, format_name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(photograph(), format_name, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    assert load_image(content).tobytes() == expected.tobytes()
    assert load_image(content).size == ((61, 37) if orientation < 5 else (37, 61))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 40, b"junk"])
def test_damaged_exif_turns_nothing(exif):
    assert load_image(encoded(photograph(), "JPEG", exif=exif)).size == (61, 37)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_white(mode):
    image = Image.new("RGBA", (4, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 255))
    if mode == "P":
        image = Image.new("P", (4, 1), 2)
        image.putpalette([0, 0, 0, 9, 9, 9, 255, 0, 0])
        image.putpixel((1, 0), 0)
        content = encoded(image, "PNG", transparency=0)
    else:
        content = encoded(image.convert(mode), "PNG")
    assert load_image(content).getpixel((1, 0)) == (255, 255, 255)
    assert load_image(content).getpixel((0, 0)) != (255, 255, 255)


def test_half_transparent_is_mixed_with_white():
    content = encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "PNG")
    assert load_image(content).getpixel((0, 0)) == (127, 127, 127)


def test_the_transparent_colour_of_an_opaque_mode_shows_white():
    content = encoded(Image.new("RGB", (2, 1), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert load_image(content).getpixel((0, 0)) == (255, 255, 255)
    grey = encoded(Image.fromarray(np.array([[7, 40000]], dtype=np.uint16)), "PNG", transparency=7)
    assert [load_image(grey).getpixel((x, 0))[0] for x in (0, 1)] == [255, 40000 >> 8]


def test_cmyk_is_close_to_the_picture_it_came_from():
    image = photograph()
    assert np.abs(pixels(load_image(encoded(image.convert("CMYK"), "JPEG", quality=95))) - pixels(image)).mean() < 12


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_sixteen_bit_greys_keep_their_range(format_name):
    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    read = pixels(load_image(encoded(Image.fromarray(levels), format_name)))[..., 0]
    assert np.abs(read - np.round(levels / 257)).max() <= 1


@pytest.mark.parametrize("levels", [np.linspace(-5, 70000, 256), np.linspace(0, 1, 256)], ids=["int32", "float32"])
def test_levels_without_a_white_are_stretched(levels):
    dtype = np.float32 if levels.max() <= 1 else np.int32
    read = pixels(load_image(encoded(Image.fromarray(levels.astype(dtype).reshape(16, 16)), "TIFF")))[..., 0]
    assert np.abs(read.ravel() - np.arange(256)).max() <= 1


def test_levels_that_are_no_numbers_are_bad():
    with pytest.raises(BadImageError, match="not finite"):
        load_image(encoded(Image.fromarray(np.full((2, 2), np.nan, dtype=np.float32)), "TIFF"))


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(format_name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if format_name == "WEBP" else {}
    content = encoded(frames[0], format_name, save_all=True, append_images=frames[1:], **options)
    assert load_image(content).getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1)])
def test_extreme_shapes(size):
    content = encoded(Image.new("RGB", size, "red"), "PNG")
    assert load_image(content).size == size
    assert (squashed_pixels(content, 32) == [255, 0, 0]).all()


def test_the_given_picture_is_not_changed():
    image = Image.new("RGB", (4, 4), "red")
    load_image(image).putpixel((0, 0), (0, 0, 255))
    assert image.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("format_name", FORMATS)
def test_truncated_pictures_are_bad_everywhere(format_name):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    content = encoded(noise, format_name)
    for length in range(1, len(content) // 2, max(1, len(content) // 40)):
        with pytest.raises(BadImageError):
            load_image(content[:length])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"", "is empty"),
        (b"<html>404 Not Found</html>", "not a picture of a format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not a picture of a format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture of a format"),
        (b"\xff\xd8\xff", "damaged"),
        ("/nowhere/at/all.jpg", "no such file"),
        ("", "no such file"),
        ("with\0nul.jpg", "cannot be opened"),
        ("\ud800.jpg", "cannot be opened"),
        ("x" * 5000, "cannot be opened"),
        (Image.new("RGB", (0, 5)), "no pixels"),
    ],
)
def test_the_reason_is_given(source, reason):
    with pytest.raises(BadImageError, match=reason):
        load_image(source)


def test_folders_and_pipes_are_bad_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, reason in ((tmp_path, "is a folder"), (tmp_path / "pipe.jpg", "not a regular file")):
        with pytest.raises(BadImageError, match=reason) as caught:
            load_image(path)
        assert caught.value.source == str(path)


@pytest.mark.skipif(not os.path.isfile("/proc/version"), reason="needs /proc")
def test_files_of_the_kernel_are_not_opened(tmp_path, monkeypatch):
    """Reading `/proc/kmsg`, a regular file of 0 bytes, waits for the next message."""
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("opened"))
    (tmp_path / "1.png").symlink_to("/proc/version")
    for path in ("/proc/version", tmp_path / "1.png"):
        with pytest.raises(BadImageError, match="is empty"):
            load_image(path)
    assert ImageFolder(tmp_path).find("1") is None


def test_a_path_below_a_folder_is_judged_before_anything_is_read(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "1.png").write_bytes(encoded(photograph(), "PNG"))
    (tmp_path / "2.png").write_bytes(encoded(photograph(), "PNG"))
    (tmp_path / "own" / "loop.png").symlink_to("loop.png")
    content_key(tmp_path / "2.png")  # known, and yet not given
    own = copy.deepcopy(PathBelow(str(tmp_path / "own" / "1.png"), tmp_path / "own"))
    assert content_key(own) == content_key(tmp_path / "2.png")
    for name, reason in (("../2.png", "outside"), ("../absent.png", "outside"), ("loop.png", "cannot be opened")):
        source = PathBelow(str(tmp_path / "own" / name), tmp_path / "own")
        for read in (content_key, load_image, image_bytes):
            with pytest.raises(BadImageError, match=reason):
                read(source)


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    bomb = bytearray(encoded(Image.new("1", (1, 1)), "PNG"))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(BadImageError, match="pixels"):
        load_image(bytes(bomb))
    content = encoded(photograph(), "PNG")
    with pytest.raises(BadImageError, match="limit of 2,256"):
        load_image(content, max_pixels=61 * 37 - 1)
    assert load_image(content, max_pixels=61 * 37).size == (61, 37)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_no_warning_of_pillow_or_numpy_leaks(tmp_path):
    """Not even where all warnings are errors; in a process of its own, for pytest sets filters of its own."""
    (tmp_path / "bomb.png").write_bytes(encoded(Image.new("1", (10_000, 9_500)), "PNG"))
    palette = Image.new("P", (4, 4))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.png", transparency=b"\x00\x80")
    signalling = np.array([[0x7F800001, 0x3F800000]], dtype=np.uint32).view(np.float32)  # a NaN that asks to be noticed
    Image.fromarray(signalling).save(tmp_path / "nan.tiff")
    program = f"""
from pathlib import Path
from flair_espvr.images.loading import load_image
for name in ("bomb.png", "palette.png", "nan.tiff"):
    try:
        print(load_image(Path({str(tmp_path)!r}) / name).size)
    except ValueError as error:
        print(error.reason)
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert not run.stderr
    bomb, read, nan = run.stdout.splitlines()
    assert "more than the limit of" in bomb
    assert read == "(4, 4)"
    assert "not finite" in nan


def test_threads_that_load_leave_the_filters_of_another_as_they_are():
    content, done = encoded(photograph(), "PNG"), threading.Event()

    def load():
        while not done.is_set():
            load_image(content)

    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as threads:
        loading = [threads.submit(load) for _ in range(4)]
        try:
            for _ in range(200):
                with warnings.catch_warnings():
                    warnings.simplefilter("error", FutureWarning)
                    inside = list(warnings.filters)
                    time.sleep(0.0005)
                    assert warnings.filters == inside
                assert warnings.filters == before
        finally:
            done.set()
        for each in loading:
            each.result()


def test_large_files_are_refused_unread(tmp_path):
    path = tmp_path / "large.jpg"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a sparse terabyte
    with pytest.raises(BadImageError, match="bytes, more than the limit"):
        load_image(path)
    with pytest.raises(BadImageError, match="bytes, more than the limit of 10"):
        load_image(b"x" * 11, max_bytes=10)


def test_shrinking_while_decoding_stays_close():
    image = photograph(1600, 1200)
    content = encoded(image, "JPEG", quality=95)
    shrunk = load_image(content, shrink_to=100)
    assert min(shrunk.size) >= 200
    assert shrunk.width < 1600
    slow = load_image(content).resize((100, 100), Image.Resampling.BICUBIC)
    assert np.abs(squashed_pixels(content, 100).astype(int) - pixels(slow)).mean() < 3


SEEDS = [encoded(photograph(20, 15), name) for name in FORMATS] + [
    encoded(Image.fromarray(np.arange(300, dtype=np.uint16).reshape(15, 20)), "PNG"),
    encoded(photograph(20, 15).quantize(8), "GIF"),
    encoded(photograph(20, 15), "TIFF", compression="tiff_lzw"),
    encoded(photograph(20, 15), "WEBP", lossless=True),
]


@st.composite
def damaged_pictures(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content) - 1) | st.integers(0, min(60, len(content) - 1)))
        content[at] = draw(st.integers(0, 255) | st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    return bytes(content[: draw(st.just(len(content)) | st.integers(0, len(content)))])


@given(damaged_pictures() | st.binary(max_size=200))
@settings(max_examples=400, deadline=None)
@example(b"RIFF\0\0\0\0WEBP")
@example(b"II*\0\x08\0\0\0")
def test_only_pictures_or_the_one_error_come_out(content):
    try:
        picture = load_image(content)
    except BadImageError:
        return
    assert picture.mode == "RGB"
    picture.getpixel((picture.width - 1, picture.height - 1))


def test_keys_follow_content_not_names(tmp_path):
    content, other = encoded(photograph(), "PNG"), encoded(photograph(60), "PNG")
    path, copy = tmp_path / "a.png", tmp_path / "b.jpg"
    path.write_bytes(content)
    copy.write_bytes(content)
    key = content_key(content)
    assert len(key) == KEY_BYTES
    assert key == content_key(path) == content_key(str(path)) == content_key(copy) != content_key(other)
    path.write_bytes(other)
    assert content_key(path) == content_key(other)


def test_a_file_is_read_once_while_it_stays_the_same(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photograph(), "PNG"))
    first = content_key(path)
    monkeypatch.setattr("flair_espvr.images.loading.image_bytes", lambda *_: pytest.fail("read again"))
    assert content_key(path) == first


def test_opened_pictures_are_told_apart_by_pixels_and_shape():
    flat = Image.new("RGB", (6, 4), "red")
    assert content_key(flat) == content_key(flat.copy())
    assert content_key(flat) != content_key(Image.new("RGB", (4, 6), "red"))
    assert content_key(flat) != content_key(Image.new("RGB", (6, 4), "blue"))


def test_keys_of_what_cannot_be_read(tmp_path):
    for source in (tmp_path, tmp_path / "none.jpg", "\0"):
        with pytest.raises(BadImageError):
            content_key(source)


def test_errors_name_what_they_are_about(tmp_path):
    assert describe_source(tmp_path) == str(tmp_path)
    assert "5 bytes" in describe_source(b"12345")
    assert "RGB picture of 6 x 4" in describe_source(Image.new("RGB", (6, 4)))
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(BadImageError, match="is empty"):
        image_bytes(tmp_path / "empty.jpg")
