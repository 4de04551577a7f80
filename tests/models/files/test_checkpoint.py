"""Model files: read without running code, refused with the reason, whole at any moment."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flair
import pytest
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from flair.nn import Classifier

from flair_espvr import ESPVRTagger
from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.models.files.checkpoint import FORMAT, FORMAT_VERSION, from_plain, plain_card, to_plain

Build = Callable[..., ESPVRTagger]


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def state(build: Build, tmp_path: Path) -> dict[str, Any]:
    """A good model file, read back as plain data to be spoilt."""
    build().save(tmp_path / "good.pt")
    loaded: dict[str, Any] = torch.load(tmp_path / "good.pt", weights_only=True)
    return loaded


def spoil(state: dict[str, Any], file: Path) -> Path:
    torch.save(state, file)
    return file


def test_a_saved_model_is_plain_data_of_a_known_format(state: dict[str, Any]) -> None:
    assert (state["format"], state["format_version"], state["__cls__"]) == (FORMAT, FORMAT_VERSION, "ESPVRTagger")
    assert not any("backbone" in name for name in state["state_dict"])


def test_model_card_survives_as_plain_data(build: Build, tmp_path: Path) -> None:
    tagger = build()
    tagger.model_card = {"pytorch_version": torch.__version__, "training_parameters": {"optimizer": torch.optim.AdamW}}
    tagger.save(tmp_path / "model.pt")
    card = ESPVRTagger.load(tmp_path / "model.pt").model_card
    assert card is not None
    assert card["pytorch_version"] == str(torch.__version__)
    assert "AdamW" in card["training_parameters"]["optimizer"]


def test_include_backbone_frees_the_file_from_the_backbones_weights(
    build: Build, posts: list[Sentence], tmp_path: Path
) -> None:
    tagger = build()
    tagger.predict(posts, label_name="before")
    tagger.save(tmp_path / "bare.pt")
    tagger.save(tmp_path / "whole.pt", include_backbone=True)
    assert (tmp_path / "whole.pt").stat().st_size > (tmp_path / "bare.pt").stat().st_size
    saved = torch.load(tmp_path / "whole.pt", weights_only=True)
    saved["region_embeddings"]["checkpoint"] = None  # as on a machine that has only the model file
    loaded = ESPVRTagger.load(spoil(saved, tmp_path / "alone.pt"))
    loaded.predict(posts, label_name="after")
    for post in posts:
        assert [str(label) for label in post.get_labels("before")] == [str(label) for label in post.get_labels("after")]
    with pytest.raises(ConfigurationError, match="no backbone"):
        build(regions="none").save(tmp_path / "text.pt", include_backbone=True)


@pytest.mark.parametrize("place", ["format", "hyperparameters", "state_dict", "label_dictionary"])
def test_pickled_code_is_refused_and_not_run(state: dict[str, Any], tmp_path: Path, place: str) -> None:
    canary = tmp_path / "canary"
    state[place] = Attack(canary)
    with pytest.raises(UnsafeModelError, match="nothing in it was run"):
        ESPVRTagger.load(spoil(state, tmp_path / "evil.pt"))
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Attack(canary)))
    with pytest.raises(UnsafeModelError, match="nothing in it was run"):
        ESPVRTagger.load(tmp_path / "plain.pt")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a model of flair-espvr"),
        ({"format_version": FORMAT_VERSION + 1}, "install a newer one"),
        ({"format_version": "1"}, "format"),
        ({"__cls__": "SomethingElse"}, "SomethingElse"),
        ({"hyperparameters": {}}, "far larger"),
        ({"hyperparameters": None}, "damaged"),
        ({"state_dict": {}}, "damaged"),
        ({"label_dictionary": 3}, "damaged"),
        ({"embeddings": {"__cls__": "FastTextEmbeddings", "fasttext_binary": b"pickle"}}, "FastTextEmbeddings"),
        ({"embeddings": {"__cls__": "NoSuchEmbeddings"}}, "NoSuchEmbeddings"),
        ({"embeddings": {"__cls__": "CharacterEmbeddings", "path_to_char_dict": "chars.pkl"}}, "unpickle"),
        ({"embeddings": {"__cls__": "CaptionedTransformerEmbeddings", "model": "evil/model"}}, "tokenizer_data"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_other_files_are_refused_with_the_reason(
    state: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnsafeModelError, match=message):
        ESPVRTagger.load(spoil({**state, **change}, tmp_path / "model.pt"))


@pytest.mark.parametrize(
    "change",
    [{"trust_remote_code": True}, {"transformers_model_kwargs": {"trust_remote_code": True}}, {"auto_map": {"a": "b"}}],
    ids=str,
)
def test_remote_code_is_refused(state: dict[str, Any], tmp_path: Path, change: dict[str, Any]) -> None:
    state["embeddings"].update(change)
    with pytest.raises(UnsafeModelError, match="code"):
        ESPVRTagger.load(spoil(state, tmp_path / "model.pt"))


@pytest.mark.parametrize("value", ["evil/kernel", "evil/kernel@main:attention", {"": "sdpa", "text": "evil/kernel"}])
def test_attention_kernels_from_a_hub_are_refused(
    state: dict[str, Any], tmp_path: Path, value: str | dict[str, str]
) -> None:
    state["embeddings"]["config_state_dict"]["attn_implementation"] = value
    with pytest.raises(UnsafeModelError, match="kernel"):
        ESPVRTagger.load(spoil(state, tmp_path / "model.pt"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../escaped.txt", b""),
        ("/etc/escaped.txt", b""),
        ("folder/file.json", b"{}"),
        ("tokenization_evil.py", b"import os"),
        ("tokenizer_config.json", json.dumps({"auto_map": {"AutoTokenizer": ["evil--t.T", None]}}).encode()),
        ("added_tokens.json", b"not JSON"),
    ],
)
def test_a_tokenizer_archive_holds_plain_tokenizer_files_only(
    state: dict[str, Any], tmp_path: Path, name: str, content: bytes
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr(name, content)
    state["embeddings"]["tokenizer_data"] = {"__kind__": "bytes", "bytes": archive.getvalue()}
    with pytest.raises(UnsafeModelError, match=r"tokenizer|code"):
        ESPVRTagger.load(spoil(state, tmp_path / "model.pt"))


def test_damaged_files(build: Build, tmp_path: Path) -> None:
    build(regions="none").save(tmp_path / "good.pt")
    content = (tmp_path / "good.pt").read_bytes()
    broken = tmp_path / "broken.pt"
    for cut in (0, 1, 100, len(content) // 2, len(content) - 1):
        broken.write_bytes(content[:cut])
        with pytest.raises(UnsafeModelError):
            ESPVRTagger.load(broken)
    broken.write_text("not a model", encoding="utf-8")
    with pytest.raises(UnsafeModelError):
        ESPVRTagger.load(broken)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        ESPVRTagger.load(tmp_path / "nowhere.pt")


def test_another_flair_models_file_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    dictionary = Dictionary(add_unk=False)
    dictionary.add_item("PER")
    SequenceTagger(TransformerWordEmbeddings(str(tiny_bert)), dictionary, "ner").save(tmp_path / "flair.pt")
    with pytest.raises(UnsafeModelError):
        ESPVRTagger.load(tmp_path / "flair.pt")


def test_flairs_own_loader_reads_the_file_once_the_package_is_imported(build: Build, tmp_path: Path) -> None:
    build().save(tmp_path / "model.pt")
    loaded = Classifier.load(tmp_path / "model.pt")
    assert isinstance(loaded, ESPVRTagger)
    assert next(loaded.parameters()).device == flair.device


def test_a_failed_save_leaves_the_old_file(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = build(regions="none")
    tagger.save(tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()

    def full_disk(state: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        tagger.save(tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_embeddings_that_only_code_could_restore_are_refused_before_training(build: Build, tiny_bert: Path) -> None:
    class Unregistered(TransformerWordEmbeddings):
        embeddings_name = "FastTextEmbeddings"

    with pytest.raises(ConfigurationError, match="Unregistered"):
        build(embeddings=Unregistered(str(tiny_bert)))


def test_attention_whose_file_would_be_refused_is_refused_before_training(build: Build, tiny_bert: Path) -> None:
    embeddings = TransformerWordEmbeddings(str(tiny_bert), attn_implementation="eager")
    build(embeddings=embeddings)
    embeddings.model.config._attn_implementation = "flash_attention_2"  # as on a GPU that has it
    with pytest.raises(ConfigurationError, match="sdpa"):
        build(embeddings=embeddings)


def test_plain_values_round_trip() -> None:
    dictionary = Dictionary(add_unk=True)
    dictionary.add_item("PER")
    dictionary.span_labels = True
    value = {"a": [1, 2.5, None, (True, "x")], "b": io.BytesIO(b"bytes"), "d": dictionary, "p": Path("x")}
    back = from_plain(to_plain(value))
    assert (back["a"], back["b"].getvalue(), back["p"]) == (value["a"], b"bytes", "x")
    assert (back["d"].get_items(), back["d"].add_unk, back["d"].span_labels) == (["<unk>", "PER"], True, True)
    with pytest.raises(ConfigurationError, match=r"model\.x\[1\]"):
        to_plain({"x": [1, object()]})
    assert plain_card({"x": (object, 1)})["x"][1] == 1
