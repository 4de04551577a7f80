"""Models that can be had and those that cannot: said at once, in a line, with what to do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from flair_espvr import MINILM_L6, CaptionedTransformerEmbeddings, ImageRegionEmbeddings
from flair_espvr.errors import ConfigurationError
from flair_espvr.io import pretrained
from flair_espvr.io.pretrained import find_model


class Hub:
    """Answers one request with a status, or does not answer at all."""

    def __init__(self, status: int | None) -> None:
        self.status, self.asked = status, 0

    def head(self, address: str, *, headers: Any, timeout: float) -> Any:
        self.asked += 1
        if self.status is None:
            raise requests.ConnectionError(f"cannot reach {address}")
        return SimpleNamespace(status_code=self.status)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """A hub that cannot be reached, and an empty cache."""
    hub = Hub(None)
    monkeypatch.setattr(pretrained, "get_session", lambda: hub)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("TRANSFORMERS_CACHE", raising=False)
    return hub


def test_folders_packages_and_names_on_the_hub_are_found(hub: Hub, tmp_path: Path) -> None:
    assert find_model(tmp_path) == str(tmp_path)
    assert Path(find_model(MINILM_L6), "config.json").is_file()
    assert hub.asked == 0
    hub.status = 307  # the hub's answer for models of a former name
    assert find_model("bert-base-uncased") == "bert-base-uncased"
    hub.status = 404
    with pytest.raises(ConfigurationError, match="the hub has no such model"):
        find_model("bert-base-uncazed")
    hub.status = 503
    with pytest.raises(ConfigurationError, match="answers with an error \\(503\\)"):
        find_model("bert-base-uncased")
    with pytest.raises(ConfigurationError, match="is no name on the hub"):
        find_model("models/of/mine")


def test_what_cannot_be_had_is_said_once_and_in_a_line(hub: Hub) -> None:
    for ask in (
        lambda: CaptionedTransformerEmbeddings("bert-base-uncased"),
        lambda: ImageRegionEmbeddings("swin_tiny_patch4_window7_224").header,
    ):
        hub.asked = 0
        with pytest.raises(ConfigurationError) as raised:
            ask()
        message = str(raised.value)
        assert hub.asked == 1
        assert "\n" not in message
        assert "the hub cannot be reached (ConnectionError)" in message
        assert "package:" in message
        assert "flair-espvr[offline]" in message


def test_packaged_weights_are_named_in_python_as_in_recipes(hub: Hub) -> None:
    assert CaptionedTransformerEmbeddings(MINILM_L6).embedding_length == 384
    with pytest.raises(ConfigurationError, match="package absent is not installed"):
        _ = ImageRegionEmbeddings("tf_efficientnet_lite0", checkpoint="package:absent/weights.pth").header
