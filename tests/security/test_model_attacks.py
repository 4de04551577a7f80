"""Model files made to run code, to write or read elsewhere, or to fill the memory: refused, and the canary lives."""

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Sentence
from flair.embeddings.base import load_embeddings
from PIL import Image
from transformers import BertConfig

from flair_espvr import ESPVRTagger
from flair_espvr.errors import UnsafeModelError
from flair_espvr.models.files.checkpoint import read_checkpoint
from flair_espvr.nn.allowance import Allowance

MODEL = "model file"


def saved(state: Any, path: Path) -> Path:
    torch.save(state, path)
    return path


def archive(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> dict[str, Any]:
    """A tokenizer as a model file keeps it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return {"__kind__": "bytes", "bytes": content.getvalue()}


def at(state: dict[str, Any], place: str) -> tuple[dict[str, Any], str]:
    *parents, last = place.split("/")
    for parent in parents:
        state = state[parent]
    return state, last


@pytest.mark.parametrize(
    "place",
    [
        "format",
        "state_dict/network.text.weight",
        "embeddings/tokenizer_data",
        "embeddings/tokenizer_data/bytes",
        "embeddings/config_state_dict/vocab_size",
        "label_dictionary/items",
        "hyperparameters/window",
        "region_embeddings/header",
        "model_card",
    ],
)
def test_payloads_anywhere_in_the_file(
    state: dict[str, Any], tmp_path: Path, payload: object, refused: Any, place: str
) -> None:
    parent, key = at(state, place)
    parent[key] = payload
    path = saved(state, tmp_path / "evil.pt")
    with refused(MODEL, f"`os.system` payload under `{place}`", UnsafeModelError, "nothing in it was run"):
        ESPVRTagger.load(path)


def test_payload_in_the_key_of_a_weight(state: dict[str, Any], tmp_path: Path, payload: object, refused: Any) -> None:
    state["state_dict"] = OrderedDict([(payload, torch.zeros(1))])
    with refused(MODEL, "`os.system` payload as the name of a weight", UnsafeModelError):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


class EvilStorageName(pickle.Pickler):
    """Puts a payload where torch's own format has the name of a tensor's storage."""

    payload: object = None

    def persistent_id(self, value: object) -> object:
        return ("storage", torch.FloatStorage, self.payload, "cpu", 1) if isinstance(value, bytearray) else None


def test_payload_in_the_name_of_a_storage(model_bytes: bytes, tmp_path: Path, payload: object, refused: Any) -> None:
    content = io.BytesIO()
    pickler = EvilStorageName(content, protocol=2)
    pickler.payload = payload
    pickler.dump({"format": bytearray(b"becomes a storage")})
    path = tmp_path / "evil.pt"
    with zipfile.ZipFile(io.BytesIO(model_bytes)) as good, zipfile.ZipFile(path, "w") as evil:
        for entry in good.infolist():
            evil.writestr(entry, content.getvalue() if entry.filename.endswith("data.pkl") else good.read(entry))
    with refused(MODEL, "`os.system` payload as the name of a tensor's storage", UnsafeModelError):
        ESPVRTagger.load(path)


@pytest.mark.parametrize("legacy", [False, True], ids=["a bare pickle", "torch's old format"])
def test_payload_in_an_older_format(tmp_path: Path, payload: object, refused: Any, legacy: bool) -> None:
    path = tmp_path / "evil.pt"
    if legacy:
        torch.save({"format": payload}, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(payload))
    with refused(
        MODEL, f"`os.system` payload in {'the old format of torch' if legacy else 'a bare pickle'}", UnsafeModelError
    ):
        ESPVRTagger.load(path)


@pytest.mark.parametrize(
    ("fault", "files"),
    [
        ("a name with `../`", {"../escaped.json": b"{}"}),
        ("an absolute name", {"/tmp/escaped.json": b"{}"}),
        ("a name with a backslash", {"..\\escaped.json": b"{}"}),
        ("a name in a folder", {"folder/vocab.json": b"{}"}),
        ("a Python file", {"tokenization_evil.py": b"import os"}),
        ("a pickle", {"vocab.pkl": b""}),
        ("`auto_map`", {"tokenizer_config.json": b'{"auto_map": {"AutoTokenizer": ["evil--t.T", null]}}'}),
        ("`auto_map` in a `config.json`", {"config.json": b'{"auto_map": {"AutoConfig": "evil--c.C"}}'}),
        ("a vocabulary at `/dev/zero`", {"tokenizer_config.json": b'{"vocab_file": "/dev/zero"}'}),
        ("a `tokenizer_file` elsewhere", {"special_tokens_map.json": b'{"tokenizer_file": "/etc/passwd"}'}),
        ("a retriever as its class", {"tokenizer_config.json": b'{"tokenizer_class": "RagRetriever"}'}),
        ("no files", {}),
        ("JSON cut off", {"tokenizer_config.json": b'{"a": '}),
        (
            "`tokenizer.json` of another kind",
            {
                "tokenizer.json": b'{"model": 1}',
                "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}',
            },
        ),
        ("JSON nested 100,000 deep", {"tokenizer_config.json": b"[" * 100_000}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tokenizers(state: dict[str, Any], tmp_path: Path, refused: Any, fault: str, files: dict[str, bytes]) -> None:
    state["embeddings"]["tokenizer_data"] = archive(files)
    path = saved(state, tmp_path / "evil.pt")
    with refused(MODEL, f"tokenizer archive with {fault}", UnsafeModelError):
        ESPVRTagger.load(path)
    assert not Path("/tmp/escaped.json").exists()


def test_a_link_in_the_tokenizer(state: dict[str, Any], tmp_path: Path, refused: Any) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as files:
        link = zipfile.ZipInfo("vocab.txt")
        link.external_attr = 0o120777 << 16
        files.writestr(link, "/etc/passwd")
    state["embeddings"]["tokenizer_data"] = {"__kind__": "bytes", "bytes": content.getvalue()}
    with refused(MODEL, "tokenizer archive with a link to `/etc/passwd`", UnsafeModelError):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


@pytest.mark.parametrize("claimed", [100, 600 << 20])
def test_bombs_in_the_tokenizer(state: dict[str, Any], tmp_path: Path, refused: Any, claimed: int) -> None:
    bomb = archive({"vocab.json": bytes(1 << 24)}, zipfile.ZIP_DEFLATED)
    bomb["bytes"] = bomb["bytes"].replace((1 << 24).to_bytes(4, "little"), claimed.to_bytes(4, "little"))
    state["embeddings"]["tokenizer_data"] = bomb
    with refused(MODEL, f"tokenizer archive of 16 MiB that claims {claimed:,} bytes", UnsafeModelError):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def test_a_bomb_in_the_file_itself(model_bytes: bytes, tmp_path: Path, refused: Any) -> None:
    path = tmp_path / "evil.pt"
    with (
        zipfile.ZipFile(io.BytesIO(model_bytes)) as good,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as evil,
    ):
        for entry in good.infolist():
            evil.writestr(entry.filename, bytes(1 << 24) if entry.filename.endswith("data/0") else good.read(entry))
    with refused(MODEL, "a weight compressed 1,000 times", UnsafeModelError, "compressed"):
        ESPVRTagger.load(path)


def test_values_that_unfold(state: dict[str, Any], tmp_path: Path, refused: Any) -> None:
    shared: list[Any] = ["x"]
    for _ in range(60):
        shared = [shared, shared]
    state["hyperparameters"]["window"] = shared
    with refused(MODEL, "lists in lists that unfold to 2^60 values", UnsafeModelError, "unfold"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("embeddings/config_state_dict/vocab_size", 10**12),
        ("embeddings/config_state_dict/vocab_size", 10**8),
        ("embeddings/config_state_dict/num_hidden_layers", 10**9),
        ("embeddings/config_state_dict/max_position_embeddings", 10**10),
        ("embeddings/config_state_dict/intermediate_size", 10**9),
        ("hyperparameters/hidden_size", 10**6),
        ("hyperparameters/num_layers", 10**9),
        ("region_embeddings/header/dim", 10**10),
    ],
)
def test_sizes_that_would_fill_the_memory(
    state: dict[str, Any], tmp_path: Path, refused: Any, place: str, value: int
) -> None:
    parent, key = at(state, place)
    parent[key] = value
    with refused(MODEL, f"`{place}` of {value:,}", UnsafeModelError):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


@pytest.mark.parametrize("temperature", [1e-40, 1e300, float("nan")])
def test_temperatures_that_give_no_scores(
    state: dict[str, Any], tmp_path: Path, refused: Any, temperature: float
) -> None:
    state["hyperparameters"]["score_temperature"] = temperature
    with refused(MODEL, f"a temperature of {temperature}", UnsafeModelError, "score_temperature"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


@pytest.mark.parametrize("fault", ["NaN", "whole numbers", "booleans"])
def test_weights_that_are_not_finite_numbers(state: dict[str, Any], tmp_path: Path, refused: Any, fault: str) -> None:
    name, weight = next((name, weight) for name, weight in state["state_dict"].items() if name.startswith("network."))
    spoilt = {"NaN": weight * float("nan"), "whole numbers": weight.long(), "booleans": weight.bool()}
    state["state_dict"][name] = spoilt[fault]
    with refused(MODEL, f"weights that are {fault}", UnsafeModelError, "not finite"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def test_views_do_not_raise_the_allowance() -> None:
    views = {"a": torch.zeros(1).expand(10**6, 10**6), "b": torch.zeros(100)[:1]}
    with pytest.raises(UnsafeModelError, match="far larger"), Allowance.for_weights(views.values()):
        torch.zeros(10**8)


def test_operators_without_a_device_are_counted() -> None:
    column = torch.zeros(10**6, 1)
    with pytest.raises(UnsafeModelError, match="far larger"), Allowance.for_weights([]):
        column * column.T


def test_new_weights_of_a_file_are_not_drawn_and_others_are() -> None:
    with Allowance.for_weights([torch.zeros(100)]):
        before = torch.random.get_rng_state()
        torch.nn.Linear(10, 10)
        assert torch.equal(torch.random.get_rng_state(), before)
    with Allowance(1_000_000, 100):
        assert torch.nn.Linear(10, 10).weight.std() > 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"layers": ",".join(["-1"] * 1_000_000)},
        {"layers": "-999"},
        {"max_caption_tokens": -1},
        {"max_caption_tokens": "1"},
    ],
    ids=["a million layers", "a layer that is none", "fewer tokens than none", "tokens that are no number"],
)
def test_parameters_of_embeddings_out_of_bounds(
    state: dict[str, Any], tmp_path: Path, refused: Any, change: dict[str, Any]
) -> None:
    state["embeddings"].update(change)
    ((name, value),) = change.items()
    with refused(MODEL, f"embeddings with `{name}` = `{value!r:.20}`", UnsafeModelError):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def test_a_class_that_no_message_can_name(refused: Any) -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with refused(MODEL, "a list of 100,000 lists in lists as its class", UnsafeModelError, "no name"):
        ESPVRTagger.load({"format": "flair-espvr model", "format_version": 1, "__cls__": nested})


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [("albert", "num_hidden_layers", 10**9), ("longformer", "attention_window", [10**9])],
)
def test_encoders_that_would_fill_the_memory_at_the_first_post(
    state: dict[str, Any], tmp_path: Path, refused: Any, kind: str, setting: str, value: Any
) -> None:
    state["embeddings"]["config_state_dict"] = {"model_type": kind, setting: value}
    with refused(MODEL, f"encoder of the type {kind} with `{setting}` = `{value}`", UnsafeModelError, "at most"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def with_tokenizer(state: dict[str, Any], *, settings: Any = None, tokenizer: Any = None) -> None:
    """Changes values in the two files of a state's tokenizer."""
    with zipfile.ZipFile(io.BytesIO(state["embeddings"]["tokenizer_data"]["bytes"])) as files:
        contents = {name: files.read(name) for name in files.namelist()}
    for name, changes in (("tokenizer_config.json", settings), ("tokenizer.json", tokenizer)):
        contents[name] = json.dumps({**json.loads(contents[name]), **(changes or {})}).encode()
    state["embeddings"]["tokenizer_data"] = archive(contents)


def test_padding_every_post_to_half_a_billion_tokens(state: dict[str, Any], tmp_path: Path, refused: Any) -> None:
    with_tokenizer(state, settings={"model_max_length": 500_000_000})
    state["embeddings"]["force_max_length"] = True
    with refused(MODEL, "`force_max_length` to 500,000,000 tokens", UnsafeModelError, "force_max_length"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def test_a_template_that_repeats_the_post(state: dict[str, Any], tmp_path: Path, refused: Any) -> None:
    post, caption = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    template = {"type": "TemplateProcessing", "single": [post] * 3000, "pair": [post, caption], "special_tokens": {}}
    with_tokenizer(state, tokenizer={"post_processor": template})
    with refused(MODEL, "tokenizer that repeats each post 3,000 times", UnsafeModelError, "template"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def test_a_regular_expression_that_panics(state: dict[str, Any], tmp_path: Path, refused: Any) -> None:
    with_tokenizer(state, tokenizer={"normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "x"}})
    tagger = ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))
    with refused(MODEL, "tokenizer with a regular expression that panics at a post", UnsafeModelError, "tokenizer"):
        tagger.predict(Sentence("a" * 50 + "b"))


@pytest.mark.parametrize(
    "settings",
    [
        {"tokenizer_class": "MarianTokenizer", "vocab": "/dev/zero", "source_spm": "/dev/zero"},
        {"tokenizer_class": "BertJapaneseTokenizer", "mecab_kwargs": {"mecab_option": "-r /dev/zero"}},
        {"tokenizer_class": "RagTokenizer"},
        {"tokenizer_class": "BertTokenizerFastFast"},
    ],
    ids=lambda settings: settings["tokenizer_class"],
)
def test_tokenizers_that_are_not_fast(
    state: dict[str, Any], tmp_path: Path, refused: Any, settings: dict[str, Any]
) -> None:
    with_tokenizer(state, settings=settings)
    with refused(MODEL, f"tokenizer of the class `{settings['tokenizer_class']}`", UnsafeModelError, "no fast"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def test_settings_of_a_tokenizer_that_are_not_known_do_not_reach_it(state: dict[str, Any], tmp_path: Path) -> None:
    asked = ("vocab", "vocab_file", "tokenizer_file", "source_spm", "gguf_file", "auto_map", "chat_template")
    with_tokenizer(state, settings=dict.fromkeys(asked, "/dev/zero") | {"fast_tokenizer_files": ["/dev/zero"]})
    embeddings: Any = ESPVRTagger.load(saved(state, tmp_path / "evil.pt")).embeddings
    assert "/dev/zero" not in json.dumps(embeddings.tokenizer.init_kwargs, default=str)


def test_a_picture_squashed_to_a_square_beyond_all_memory(state: dict[str, Any], tmp_path: Path, refused: Any) -> None:
    state["region_embeddings"]["header"]["image_size"] = 10**6
    with refused(MODEL, "pictures of 1,000,000 pixels a side", UnsafeModelError, "1,000,000"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


@pytest.mark.parametrize("store", ["\x1b]0;owned\x07", "\ud800", 5, ["store"]], ids=ascii)
def test_stores_that_are_no_path(state: dict[str, Any], tmp_path: Path, refused: Any, store: object) -> None:
    state["region_embeddings"]["store"] = store
    with refused(MODEL, f"region store named `{store!a}`", UnsafeModelError, "no path"):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def test_a_backbone_beyond_all_memory(state: dict[str, Any], tmp_path: Path, refused: Any) -> None:
    state["region_embeddings"]["model_arguments"] = {"embed_dim": 12_288}
    tagger = ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))
    sentence = Sentence("Kevin plays")
    sentence.add_metadata("image", Image.new("RGB", (8, 8)))
    with refused(MODEL, "backbone with an `embed_dim` of 12,288", UnsafeModelError, "far larger"):
        tagger.predict(sentence)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attn_implementation", "evil/kernel"),
        ("attn_implementation", "flash_attention_2"),
        ("attn_implementation", {"": "sdpa", "text_config": "flex_attention"}),
        ("model_type", "mamba"),
        ("model_type", "roformer"),
        ("model_type", "xlm"),
        ("model_type", "timm_wrapper"),
        ("model_type", "encoder-decoder"),
        ("model_type", "no such model"),
        ("model_type", ["bert"]),
    ],
)
def test_encoders_that_would_be_fetched(
    state: dict[str, Any], tmp_path: Path, refused: Any, key: str, value: Any
) -> None:
    state["embeddings"]["config_state_dict"][key] = value
    with refused(MODEL, f"encoder with `{key}` = `{json.dumps(value)}`", UnsafeModelError):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


@pytest.mark.parametrize(
    "settings",
    [
        {"attribute_map": {"zzz": "_attn_implementation_internal"}, "zzz": "evil/kernel"},
        {"attribute_map": {"zzz": "auto_map"}, "zzz": {"AutoModel": "evil--m.M"}},
        {"attribute_map": {"vocab_size": "auto_map"}},
        {"_attn_implementation": "flash_attention_3"},
        {"auto_map": {"AutoModel": "evil--m.M"}},
        {"backbone": "evil/backbone"},
        {"quantization_config": {"quant_method": "mxfp4"}},
        {"num_labels": 2 * 10**7},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_settings_that_are_none_of_the_encoder_s_do_not_reach_it(
    state: dict[str, Any], tmp_path: Path, settings: dict[str, Any]
) -> None:
    state["embeddings"]["config_state_dict"].update(settings)
    embeddings: Any = ESPVRTagger.load(saved(state, tmp_path / "evil.pt")).embeddings
    config = embeddings.model.config
    assert config._attn_implementation == "sdpa"
    assert config.attribute_map == BertConfig.attribute_map
    assert config.num_labels == 2
    assert not set(config.to_dict()) & {"zzz", "auto_map", "backbone", "quantization_config"}


@pytest.mark.parametrize(
    "change",
    [
        {"transformers_model_kwargs": {"attn_implementation": "sdpa"}},
        {"peft_config": {"peft_type": "LORA"}},
        {"saved_config": "evil"},
        {"trust_remote_code": True},
        {"feature_extractor_data": b"PK"},
        {"__cls__": "TransformerJitWordEmbeddings", "jit_model": b"TorchScript"},
        {"__cls__": "TransformerOnnxWordEmbeddings", "onnx_model": "evil.onnx"},
        {"__cls__": "FastTextEmbeddings", "fasttext_binary": b"x"},
        {"__cls__": "CharacterEmbeddings"},
        {"__cls__": ["CharacterEmbeddings"]},
        {"__cls__": "StackedEmbeddings", "embeddings": [{"__cls__": "NILCEmbeddings", "embeddings": "x"}]},
    ],
    ids=lambda change: "-".join(map(str, change)),
)
def test_embeddings_that_ask_for_more(
    state: dict[str, Any], tmp_path: Path, refused: Any, change: dict[str, Any]
) -> None:
    if "__cls__" in change:
        state["embeddings"] = change
    else:
        state["embeddings"].update(change)
    with refused(
        MODEL, f"embeddings with `{next(reversed(change))}` ({change.get('__cls__', 'transformer')})", UnsafeModelError
    ):
        ESPVRTagger.load(saved(state, tmp_path / "evil.pt"))


def test_the_attacks_would_have_worked(tmp_path: Path, refused: Callable[..., Any], payload: Any) -> None:
    """Without this package's care the payload does run: these are real attacks."""
    payload.command = f"touch {tmp_path / 'fired'}"
    torch.load(saved({"format": payload}, tmp_path / "evil.pt"), weights_only=False)
    assert (tmp_path / "fired").exists()
    with pytest.raises(UnsafeModelError):
        read_checkpoint(tmp_path / "evil.pt")
    with pytest.raises(KeyError):  # Flair itself would have called the class that was asked for
        load_embeddings({"__cls__": "NoSuchEmbeddings"})
