"""Every family with a tiny model of random weights on disk, held to transformers used by hand, picture by picture."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from huggingface_hub.utils import reset_sessions
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    BertTokenizerFast,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    GPT2Config,
    GPT2TokenizerFast,
    OPTConfig,
    T5Config,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
)

from flair_espvr.annotators.captioner import FAMILIES, Captioner
from flair_espvr.errors import ConfigurationError
from tests.annotators.tiny_models import SIDE, SIZE, byte_level_files, florence2

WORDS = ["a", "man", "dog", "cat", "crowd", "walks", "sits", "on", "the", "street", "with", "red", "car", "of", "photo"]
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TEXT, "image_size": SIDE, "patch_size": 16, "initializer_range": 0.02}  # BLIP begins at 1e-10
LIMITS = {"max_new_tokens": 6, "num_beams": 2}


def bert_tokenizer(folder):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    return BertTokenizerFast(str(folder / "vocab.txt"))


def blip(folder):
    tokenizer = bert_tokenizer(folder)
    text = {**TEXT, "vocab_size": len(tokenizer), "encoder_hidden_size": 16, "projection_dim": 16}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
    config = BlipConfig(
        text_config={**text, **special}, vision_config=VISION, projection_dim=16, image_text_hidden_size=16
    )
    return BlipForConditionalGeneration(config), [BlipProcessor(BlipImageProcessor(size=SIZE), tokenizer)]


def blip2(folder, text_config=None):
    tokenizer = GPT2TokenizerFast(
        *byte_level_files(folder), bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    processor = Blip2Processor(BlipImageProcessor(size=SIZE), tokenizer, num_query_tokens=3)
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "vocab_size": len(tokenizer)}
    text_config = text_config or OPTConfig(
        hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2, **special
    )
    config = Blip2Config(
        vision_config=VISION,
        qformer_config={**TEXT, "encoder_hidden_size": 16, "vocab_size": 8},
        text_config=text_config.to_dict(),
        num_query_tokens=3,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return Blip2ForConditionalGeneration(config), [processor]


def blip2_t5(folder):
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 1}
    return blip2(folder, T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, **special))


def git(folder):
    tokenizer = bert_tokenizer(folder)
    config = GitConfig(
        vision_config=VISION, vocab_size=len(tokenizer), bos_token_id=2, eos_token_id=3, pad_token_id=0, **TEXT
    )
    image_processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIZE)
    return GitForCausalLM(config), [GitProcessor(image_processor, tokenizer)]


def vit_gpt2(folder):
    tokenizer = GPT2TokenizerFast(*byte_level_files(folder), bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    decoder = GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=2, pad_token_id=1
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(**VISION), decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 0, 1, 2
    return VisionEncoderDecoderModel(config=config), [ViTImageProcessor(size=SIZE), tokenizer]


BUILDERS = {
    "blip": blip,
    "blip-2": blip2,
    "blip-2 with T5": blip2_t5,
    "git": git,
    "vision-encoder-decoder": vit_gpt2,
    "florence2": florence2,
}


@pytest.fixture(scope="session")
def tiny_captioners(tmp_path_factory):
    """A folder per family, as `save_pretrained` writes it."""
    folders = {}
    for family, build in BUILDERS.items():
        folder = folders[family] = tmp_path_factory.mktemp("captioner") / "model"
        folder.mkdir()
        torch.manual_seed(3)
        model, processors = build(folder)
        with torch.no_grad():  # as initialised, every picture would get the same caption
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(12)
        for part in (model, *processors):
            part.save_pretrained(folder)
    return folders


@pytest.fixture(params=BUILDERS)
def family(request):
    return request.param


@pytest.fixture
def folder(family, tiny_captioners):
    return tiny_captioners[family]


@pytest.fixture
def pictures():
    """Five pictures of different sizes, each with a colour of its own."""
    random = np.random.default_rng(0)
    sizes = [(40, 50), (64, 32), (17, 90), (33, 33), (60, 20)]
    tints = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]
    arrays = [
        (random.integers(0, 256, (*size, 3)) + 3 * np.array(tint)) // 4 for size, tint in zip(sizes, tints, strict=True)
    ]
    return [Image.fromarray(array.astype(np.uint8)) for array in arrays]


def by_hand(folder, picture, text=None, **limits):
    """What the documentation of transformers tells people to write for one picture; the decoded output as it is."""
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    if model.config.model_type == "vision-encoder-decoder":
        image_processor = ViTImageProcessor.from_pretrained(folder)
        output = model.generate(image_processor(picture, return_tensors="pt").pixel_values, **limits)
        return GPT2TokenizerFast.from_pretrained(folder).decode(output[0], skip_special_tokens=True)
    processor = AutoProcessor.from_pretrained(folder)
    if text is None:
        inputs = processor(images=picture, return_tensors="pt")
    elif model.config.model_type == "git":
        words = processor.tokenizer(text, add_special_tokens=False).input_ids
        inputs = {
            "pixel_values": processor(images=picture, return_tensors="pt").pixel_values,
            "input_ids": torch.tensor([[processor.tokenizer.cls_token_id, *words]]),
        }
    else:
        inputs = processor(images=picture, text=text, return_tensors="pt")
    output = model.generate(**inputs, **limits)
    return processor.decode(output[0], skip_special_tokens=True)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_captions_are_those_of_transformers_by_hand(family, folder, pictures, num_beams):
    limits = {"max_new_tokens": 6, "num_beams": num_beams}
    task = "<CAPTION>" if family == "florence2" else None
    expected = [" ".join(by_hand(folder, picture, task, **limits).split()) for picture in pictures]
    assert Captioner(folder, batch_size=5, **limits).caption(pictures) == expected
    assert len(set(expected)) > 1, "a test in which the picture does not matter shows nothing"


def test_captions_do_not_depend_on_the_batch(folder, pictures):
    one_by_one = Captioner(folder, batch_size=1, **LIMITS).caption(pictures)
    assert Captioner(folder, batch_size=2, **LIMITS).caption(pictures) == one_by_one
    assert Captioner(folder, batch_size=9, **LIMITS).caption(pictures[::-1]) == one_by_one[::-1]
    assert Captioner(folder).caption([]) == []


@pytest.mark.parametrize(
    ("family", "prompt", "echoed"),
    [
        ("blip", "a photo of", True),
        ("git", "a photo of", True),
        ("blip-2", "what is it", True),
        ("blip-2 with T5", "what is it", False),
        ("florence2", "<DETAILED_CAPTION>", False),
    ],
)
def test_a_prompt_is_continued_and_left_out(tiny_captioners, pictures, family, prompt, echoed):
    captioner = Captioner(tiny_captioners[family], prompt=prompt, **LIMITS)
    outputs = [by_hand(tiny_captioners[family], picture, prompt, **LIMITS) for picture in pictures]
    if echoed:
        assert all(output.strip().startswith(prompt) for output in outputs)
        outputs = [output.strip().removeprefix(prompt) for output in outputs]
    assert captioner.caption(pictures) == [" ".join(output.split()) for output in outputs]
    assert captioner.settings["prompt"] == prompt


def edited(folder, tmp_path, file, **changes):
    """A copy of a model's folder with other values in one of its JSON files."""
    copy = shutil.copytree(folder, tmp_path / "edited")
    (copy / file).write_text(json.dumps({**json.loads((copy / file).read_text()), **changes}))
    return copy


def test_sampling_is_off_whatever_the_model_asks(tiny_captioners, tmp_path, pictures):
    sampling = edited(tiny_captioners["git"], tmp_path, "generation_config.json", do_sample=True, temperature=5.0)
    assert Captioner(sampling, **LIMITS).caption(pictures) == Captioner(tiny_captioners["git"], **LIMITS).caption(
        pictures
    )


def test_a_caption_is_one_line(tiny_captioners, tmp_path, pictures):
    keep = {6, 7, 8}  # line feed, TAB, "a"
    banned = [token for token in range(39) if token not in keep]
    folder = edited(
        tiny_captioners["vision-encoder-decoder"], tmp_path, "generation_config.json", suppress_tokens=banned
    )
    assert any("\n" in by_hand(folder, picture, **LIMITS) for picture in pictures)
    for caption in Captioner(folder, **LIMITS).caption(pictures):
        assert set(caption) <= {"a", " "}
        assert caption == " ".join(caption.split())


def test_a_model_without_words_is_reported(tiny_captioners, tmp_path, pictures, caplog):
    banned = [token for token in range(39) if token != 2]  # all but the end
    folder = edited(
        tiny_captioners["vision-encoder-decoder"], tmp_path, "generation_config.json", suppress_tokens=banned
    )
    with caplog.at_level("WARNING", logger="flair"):
        assert Captioner(folder, **LIMITS).caption(pictures) == [""] * 5
    assert "edited had nothing to say about 5 of 5 pictures" in caplog.text


def test_settings_say_what_decides_the_captions(tiny_captioners, tmp_path):
    captioner = Captioner(tiny_captioners["blip"], max_new_tokens=7, num_beams=1, batch_size=3)
    settings = captioner.settings
    assert json.loads(json.dumps(settings)) == settings
    assert settings == {
        "model": "model",
        "revision": settings["revision"],
        "dtype": "float32",
        "prompt": None,
        "do_sample": False,
        "num_beams": 1,
        "max_new_tokens": 7,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    elsewhere = shutil.copytree(tiny_captioners["blip"], tmp_path / "model")
    assert Captioner(elsewhere).settings["revision"] == settings["revision"]
    weights = elsewhere / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert Captioner(elsewhere).settings["revision"] != settings["revision"]


def test_a_model_of_the_hub_is_named_by_its_commit(tiny_captioners, tmp_path, monkeypatch, pictures, request):
    request.addfinalizer(reset_sessions)  # the hub keeps sessions, and one that was made offline stays so
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--someone--tiny-git"
    shutil.copytree(tiny_captioners["git"], cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("transformers.utils.hub.TRANSFORMERS_CACHE", str(tmp_path))
    monkeypatch.setenv("TRANSFORMERS_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub._is_offline_mode", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    captioner = Captioner("someone/tiny-git", **LIMITS)
    assert (captioner.settings["model"], captioner.settings["revision"]) == ("someone/tiny-git", commit)
    assert captioner.caption(pictures) == Captioner(tiny_captioners["git"], **LIMITS).caption(pictures)
    with pytest.raises(ConfigurationError, match=r"someone/absent cannot be had: .* the hub cannot be reached"):
        Captioner("someone/absent")


def test_half_precision_runs_and_is_named(folder, pictures):
    captioner = Captioner(folder, dtype=torch.bfloat16, **LIMITS)
    assert len(captioner.caption(pictures)) == 5
    assert captioner.settings["dtype"] == "bfloat16"


@pytest.mark.parametrize(("bfloat16", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_an_accelerator_gets_half_precision(tiny_captioners, monkeypatch, bfloat16, expected):
    monkeypatch.setattr("flair.device", torch.device("cuda"))
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: bfloat16)
    monkeypatch.setattr("torch.nn.Module.to", lambda module, device: module)
    assert Captioner(tiny_captioners["blip"]).settings["dtype"] == expected


def test_every_supported_family_is_tested():
    assert {name.split()[0] for name in BUILDERS} == set(FAMILIES)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llava"}, r"family 'llava'.*BLIP \(blip\).*Florence-2 \(florence2\).*ImageCaptioner"),
        ({"architectures": ["X"]}, "family None"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "code.Config"}}, "family 'own'"),
        ({"model_type": "florence2", "auto_map": {}}, "never run.*florence-community/Florence-2-base"),
        ({"model_type": "blip"}, "image processor and tokenizer"),
    ],
)
def test_models_that_cannot_be_run_are_refused(tmp_path, config, message):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('code of the model was run')")
    with pytest.raises(ConfigurationError, match=message):
        Captioner(tmp_path)


def test_missing_files_and_weights_are_named(tiny_captioners, tmp_path):
    with pytest.raises(ConfigurationError, match="neither a folder that holds a model nor"):
        Captioner(tmp_path)
    folder = shutil.copytree(tiny_captioners["git"], tmp_path / "without weights")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match=r"weights of .* cannot be loaded"):
        Captioner(folder)
    deeper = edited(tiny_captioners["git"], tmp_path, "config.json", num_hidden_layers=3)
    with pytest.raises(ConfigurationError, match=r"lacks \d+ of the weights.*git\.encoder\.layer\.2"):
        Captioner(deeper)


def test_damaged_weights_are_named(tiny_captioners, tmp_path):
    folder = shutil.copytree(tiny_captioners["git"], tmp_path / "damaged")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ConfigurationError, match=r"weights of .*damaged cannot be loaded"):
        Captioner(folder)


@pytest.mark.parametrize("file", ["tokenizer_config.json", "preprocessor_config.json", "config.json"])
def test_code_that_comes_with_a_model_is_never_run(tiny_captioners, tmp_path, pictures, file):
    classes = ("AutoConfig", "AutoModelForImageTextToText", "AutoProcessor", "AutoImageProcessor")
    auto_map = {**dict.fromkeys(classes, "code.Own"), "AutoTokenizer": ["code.Own", "code.Own"]}
    own = {"auto_map": auto_map, "processor_class": "Own", "tokenizer_class": "Own", "image_processor_type": "Own"}
    folder = edited(tiny_captioners["git"], tmp_path, file, **own)
    (folder / "code.py").write_text("raise SystemExit('code of the model was run')")
    if file == "config.json":  # transformers has this family itself
        assert Captioner(folder, **LIMITS).caption(pictures) == Captioner(tiny_captioners["git"], **LIMITS).caption(
            pictures
        )
    else:
        with pytest.raises(ConfigurationError, match=r"image processor and tokenizer of .* cannot be loaded"):
            Captioner(folder)


def test_a_blip2_without_image_tokens_is_refused(tiny_captioners, tmp_path):
    with pytest.raises(ConfigurationError, match="image_token_index"):
        Captioner(edited(tiny_captioners["blip-2"], tmp_path, "config.json", image_token_index=None))


def test_arguments_are_checked(tiny_captioners):
    with pytest.raises(ConfigurationError, match="takes no prompt"):
        Captioner(tiny_captioners["vision-encoder-decoder"], prompt="a photo of")
    for name in ("batch_size", "max_new_tokens", "num_beams"):
        with pytest.raises(ConfigurationError, match="at least 1"):
            Captioner(tiny_captioners["blip"], **{name: 0})


def test_reading_and_tagging_never_import_a_captioner():
    modules = "flair_espvr, flair_espvr.data, flair_espvr.models, flair_espvr.training.build"
    code = f"import sys, {modules}; print('flair_espvr.annotators.captioner' in sys.modules)"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
