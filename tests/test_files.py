"""Files that packages bring."""

from pathlib import Path

import pytest

from flair_espvr.errors import ConfigurationError
from flair_espvr.files import resolve_packaged


def test_files_of_packages() -> None:
    assert resolve_packaged("bert-base-uncased") == "bert-base-uncased"
    assert Path(resolve_packaged("package:flair_espvr/py.typed")).is_file()
    with pytest.raises(ConfigurationError, match="not installed"):
        resolve_packaged("package:no_such_package/file")
    with pytest.raises(ConfigurationError, match="has no"):
        resolve_packaged("package:flair_espvr/absent")
