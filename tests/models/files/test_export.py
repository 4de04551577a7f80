"""Exports: safetensors and JSON in a folder or on a hub, whole or absent, with the same tags and scores after."""

import base64
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from flair.data import Dictionary, Label, Sentence
from flair.embeddings import CharacterEmbeddings, HashEmbeddings, StackedEmbeddings, TransformerWordEmbeddings
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from flair_espvr import ESPVRTagger
from flair_espvr.errors import ConfigurationError, EspvrError, UnsafeModelError
from flair_espvr.models import ModelFacts

Build = Callable[..., ESPVRTagger]
FACTS = ModelFacts(
    dataset="Eight-Posts",
    edition="the only one",
    scores={"f1": 0.836, "precision": 0.84},
    seeds=(1, 2, 3),
    limits="Knows two names and two towns.",
    language="en",
    license="mit",
)


def near(value: float) -> Any:
    return pytest.approx(value, abs=2e-3)


def places(label: Label) -> Any:
    return {name: near(value) for region in label.metadata.values() for name, value in asdict(region).items()}


def predicted(tagger: ESPVRTagger, posts: list[Sentence]) -> list[list[tuple[Any, ...]]]:
    """Everything about the labels; numbers up to the last bits, which where weights lie in memory may change."""
    tagger.predict(posts, label_name="predicted", return_probabilities_for_all_classes=True)
    return [
        [
            *((label.unlabeled_identifier, label.value, near(label.score), places(label)) for label in found),
            *((token.text, near(label.score)) for token in post for label in token.get_tags_proba_dist("predicted")),
        ]
        for post in posts
        for found in [post.get_labels("predicted")]
    ]


@pytest.mark.parametrize("regions", ["positioned", "all", "none"])
def test_an_export_gives_the_same_tags_scores_and_regions(
    build: Build, posts: list[Sentence], tmp_path: Path, regions: str
) -> None:
    tagger = build(regions=regions).eval()
    tagger.model_card = {"flair_version": "x", "training_parameters": {"optimizer": dict}}
    tagger.save_pretrained(tmp_path / "export", include_backbone=regions != "none")
    loaded = ESPVRTagger.from_pretrained(tmp_path / "export")
    assert isinstance(loaded, ESPVRTagger)
    assert predicted(loaded, posts) == predicted(tagger, posts)
    assert loaded.hyperparameters() == tagger.hyperparameters()
    assert loaded.model_card == {"flair_version": "x", "training_parameters": {"optimizer": str(dict)}}


def test_all_files_of_an_export_have_the_mode_that_the_umask_gives(build: Build, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        build().save_pretrained(tmp_path / "export", include_backbone=True)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "export").rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o640}, modes


def test_an_export_is_plain_files_without_this_machine_s_paths(build: Build, tmp_path: Path) -> None:
    tagger = build()
    tagger.save_pretrained(str(tmp_path / "export"), include_backbone=True)
    files = {str(path.relative_to(tmp_path / "export")) for path in (tmp_path / "export").rglob("*") if path.is_file()}
    assert {"config.json", "model.safetensors", "backbone.safetensors", "tokenizer/tokenizer.json"} <= files
    assert {Path(file).suffix for file in files} <= {".json", ".safetensors", ".txt"}
    assert load_file(tmp_path / "export" / "model.safetensors").keys() == tagger.state_dict().keys()
    settings = json.loads((tmp_path / "export" / "config.json").read_text(encoding="utf-8"))
    assert settings["region_embeddings"]["checkpoint"] is settings["region_embeddings"]["store"] is None
    assert (tmp_path / "export" / "config.json").stat().st_mode & 0o777 == 0o644


def test_a_backbone_that_is_this_machine_s_alone_goes_along_or_nothing_does(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="include_backbone=True"):
        build().save_pretrained(tmp_path / "export")
    with pytest.raises(ConfigurationError, match="no backbone"):
        build(regions="none").save_pretrained(tmp_path / "export", include_backbone=True)
    assert list(tmp_path.iterdir()) == []


def test_any_savable_embeddings_can_be_exported(
    build: Build, posts: list[Sentence], tiny_bert: Path, tiny_roberta: Path, tmp_path: Path
) -> None:
    letters = Dictionary()
    for letter in "abcé":
        letters.add_item(letter)
    stack = StackedEmbeddings(
        [
            TransformerWordEmbeddings(str(tiny_bert), allow_long_sentences=False),
            CharacterEmbeddings(letters, 4, 4),
            HashEmbeddings(10, 4),
            TransformerWordEmbeddings(str(tiny_roberta), allow_long_sentences=False),
        ]
    )
    tagger = build(regions="none", embeddings=stack).eval()
    tagger.save_pretrained(tmp_path / "export")
    assert (tmp_path / "export" / "tokenizer_2" / "tokenizer.json").is_file()
    assert predicted(ESPVRTagger.from_pretrained(tmp_path / "export"), posts) == predicted(tagger, posts)  # type: ignore[arg-type]


def test_an_older_export_stays_until_the_new_one_is_whole(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "export"
    build(regions="none").save_pretrained(folder)
    (folder / "README.md").write_text("my own words", encoding="utf-8")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def full_disk(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("flair_espvr.models.files.export.unpack_tokenizer", full_disk)
        with pytest.raises(OSError, match="No space"):
            build().save_pretrained(folder, include_backbone=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    build().save_pretrained(folder, include_backbone=True)
    assert (folder / "README.md").read_text(encoding="utf-8") == "my own words"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_folder_with_other_files_is_not_replaced(build: Build, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigurationError, match=r"thesis\.tex"):
        build(regions="none").save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="is a file"):
        build(regions="none").save_pretrained(tmp_path / "thesis.tex")
    (tmp_path / "empty").mkdir()
    build(regions="none").save_pretrained(tmp_path / "empty")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "model.safetensors").touch()
    with pytest.raises(ConfigurationError, match="no exported model"):
        build(regions="none").save_pretrained(tmp_path / "foreign")


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        ESPVRTagger.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(UnsafeModelError, match="is missing"):
        ESPVRTagger.from_pretrained(tmp_path)


class Hub:
    """As much of the Hugging Face hub as downloads and commits of small files need, for one repository."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: str | None = None
        """A file of which only half is sent."""
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def do_GET(self) -> None:
                hub.requests.append(self.path)
                path = self.path.partition("?")[0]
                if "/resolve/" in path:
                    self._file(path.split("/", 5)[-1])
                elif "/tree/" in path:
                    self._json(
                        [{"type": "file", "path": name, "size": len(hub.files[name]), "oid": "0"} for name in hub.files]
                    )
                elif hub.files:
                    siblings = [{"rfilename": name} for name in hub.files]
                    self._json({"_id": "1", "id": "org/name", "sha": hub.commit, "siblings": siblings})
                else:
                    self._json({"error": "Repository not found"}, status=404, **{"X-Error-Code": "RepoNotFound"})

            do_HEAD = do_GET  # noqa: N815

            def do_POST(self) -> None:
                hub.requests.append(self.path)
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.endswith("/repos/create"):
                    self._json({"url": f"{hub.address}/org/name"})
                elif "/validate-yaml" in self.path:
                    self._json({"errors": [], "warnings": []})
                elif "/preupload/" in self.path:
                    paths = [file["path"] for file in json.loads(content)["files"]]
                    self._json(
                        {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]}
                    )
                elif "/commit/" in self.path:
                    for operation in map(json.loads, content.splitlines()):
                        value = operation["value"]
                        if operation["key"] == "file":
                            hub.files[value["path"]] = base64.b64decode(value["content"])
                        elif operation["key"] == "deletedFile":
                            del hub.files[value["path"]]
                    self._json({"commitUrl": f"{hub.address}/org/name/commit/{hub.commit}", "commitOid": hub.commit})

            def _file(self, name: str) -> None:
                content = hub.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", hashlib.sha1(content).hexdigest())
                self.send_header("X-Repo-Commit", hub.commit)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content[: len(content) // 2] if name == hub.cut else content)
                    self.close_connection = name == hub.cut

            def _json(self, content: Any, status: int = 200, **headers: str) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                for header, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(header, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def commit(self) -> str:
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)  # as HF_ENDPOINT does before the import
    template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template)
    thread = threading.Thread(target=hub.server.serve_forever)
    thread.start()
    yield hub
    hub.server.shutdown()
    thread.join()
    hub.server.server_close()


@pytest.fixture
def published(hub: Hub, build: Build, tmp_path: Path) -> dict[str, Any]:
    """The arguments that reach a hub with an export on it."""
    build().save_pretrained(tmp_path / "export", include_backbone=True)
    for path in (tmp_path / "export").rglob("*"):
        if path.is_file():
            hub.files[str(path.relative_to(tmp_path / "export"))] = path.read_bytes()
    hub.files["pytorch_model.bin"] = b"a pickle, which nobody asked for"
    return {"cache_dir": tmp_path / "cache", "token": False}


def test_push_and_load_through_a_hub(build: Build, hub: Hub, posts: list[Sentence], tmp_path: Path) -> None:
    tagger = build().eval()
    hub.files["backbone.safetensors"] = hub.files["tokenizer/old.txt"] = b"of an older model"
    address = tagger.push_to_hub("org/name", facts=FACTS, include_backbone=True, token="hf_secret")
    assert address.endswith(hub.commit)
    assert "tokenizer/old.txt" not in hub.files
    loaded = ESPVRTagger.from_pretrained("org/name", cache_dir=tmp_path, token=False)
    assert predicted(loaded, posts) == predicted(tagger, posts)  # type: ignore[arg-type]

    card = ModelCard(hub.files["README.md"].decode())
    assert card.data.to_dict() == yaml.safe_load(card.content.split("---")[1])
    assert (card.data.language, card.data.license, card.data.library_name) == ("en", "mit", "flair")
    assert card.data.eval_results is not None
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == FACTS.scores
    for said in ("Eight-Posts", "the only one", "83.60", "1, 2, 3", "two towns", "PER, LOC"):
        assert said in card.text

    assert loaded.model_card is not None
    loaded.push_to_hub("org/name", include_backbone=True, token="hf_secret")
    assert ModelCard(hub.files["README.md"].decode()).text == card.text


def test_a_model_without_facts_is_not_published(build: Build, hub: Hub) -> None:
    with pytest.raises(ConfigurationError, match="ModelFacts"):
        build(regions="none").push_to_hub("org/name", token="hf_secret")
    tagger = build(regions="none")
    tagger.model_card = {"facts": {"dataset": "x"}}
    with pytest.raises(ConfigurationError, match="not complete"):
        tagger.push_to_hub("org/name", token="hf_secret")
    assert hub.requests == []


def test_only_the_export_s_own_files_are_downloaded(hub: Hub, published: dict[str, Any]) -> None:
    ESPVRTagger.from_pretrained("org/name", **published)
    assert not any("pytorch_model" in request for request in hub.requests)


@pytest.mark.parametrize("cut", ["config.json", "model.safetensors", "tokenizer/tokenizer.json"])
def test_a_download_that_breaks_off_leaves_nothing_half_and_is_resumed(
    hub: Hub, published: dict[str, Any], cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.cut = cut
    with pytest.raises(EspvrError):
        ESPVRTagger.from_pretrained("org/name", **published)
    with pytest.raises(EspvrError):  # nor is what came through taken for the model where the hub is out of reach
        ESPVRTagger.from_pretrained("org/name", **{**published, "local_files_only": True})
    hub.cut = None
    ESPVRTagger.from_pretrained("org/name", **published)


def test_a_hub_that_is_not_there_or_does_not_know_the_model(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(EspvrError, match="not downloaded"):
        ESPVRTagger.from_pretrained("org/name", cache_dir=tmp_path, token=False)
    with pytest.raises(EspvrError, match="not downloaded"):
        ESPVRTagger.from_pretrained("org/name", endpoint="http://127.0.0.1:9", cache_dir=tmp_path, token=False)


@pytest.mark.parametrize("name", ["tokenizer/../../../../../escaped.json", "tokenizer//../../escaped.json"])
def test_a_hub_cannot_write_outside_of_the_cache(
    hub: Hub, published: dict[str, Any], tmp_path: Path, name: str
) -> None:
    hub.files[name] = b"{}"
    with pytest.raises(EspvrError):
        ESPVRTagger.from_pretrained("org/name", **published)
    shutil.rmtree(tmp_path / "cache")
    assert not list(tmp_path.parent.rglob("escaped.json"))
