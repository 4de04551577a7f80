import pytest
from PIL import Image

from flair_espvr.errors import ConfigurationError
from flair_espvr.images.folder import ImageFolder


def save(path, format):
    Image.new("RGB", (2, 2)).save(path, format=format)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("name", ["17_1.jpg", "17_1.PNG", "17_1"])
def test_a_picture_is_found_whatever_its_suffix_says(tmp_path, format, name):
    save(tmp_path / name, format)
    assert ImageFolder(tmp_path).find("17_1") == tmp_path / name


@pytest.mark.parametrize("content", [b"", b"<html>gone</html>", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_picture_is_not_found_but_named(tmp_path, content):
    (tmp_path / "1.jpg").write_bytes(content)
    folder = ImageFolder(tmp_path)
    assert folder.find("1") is None
    assert folder.not_images == {tmp_path / "1.jpg"}


def test_of_several_pictures_the_first_by_name_is_taken_and_the_id_named(tmp_path):
    save(tmp_path / "1.png", "PNG")
    save(tmp_path / "1.jpg", "JPEG")
    folder = ImageFolder(tmp_path)
    assert folder.find("1") == tmp_path / "1.jpg"
    assert folder.ambiguous == {"1"}


def test_ids_may_have_dots_or_be_file_names(tmp_path):
    save(tmp_path / "a.b.jpg", "JPEG")
    folder = ImageFolder(tmp_path)
    assert folder.find("a.b") == folder.find("a.b.jpg") == tmp_path / "a.b.jpg"
    assert folder.find("a") is None


@pytest.mark.parametrize("image_id", ["../1", "pictures/1", "./1", "/1", "..", "", "1\0"])
def test_ids_do_not_leave_the_folder(tmp_path, image_id):
    (tmp_path / "pictures").mkdir()
    save(tmp_path / "1.jpg", "JPEG")
    save(tmp_path / "pictures" / "1.jpg", "JPEG")
    assert ImageFolder(tmp_path / "pictures").find(image_id) is None
    assert ImageFolder(tmp_path).find("pictures/1") is None


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="absent"):
        ImageFolder(tmp_path / "absent")
