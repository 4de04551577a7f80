"""What worker processes answer with."""

from pathlib import Path

from flair_espvr.errors import BadImageError
from flair_espvr.images.worker_tasks import key_and_pixels_or_error, key_or_error


def test_an_error_that_is_answered_with_holds_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    for error in (key_and_pixels_or_error(tmp_path / "cut.jpg", 8), key_or_error(tmp_path / "absent.jpg")):
        assert isinstance(error, BadImageError)
        assert error.__traceback__ is None
        assert error.__cause__ is error.__context__ is None
