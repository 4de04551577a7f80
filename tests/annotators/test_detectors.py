"""Every detector with a tiny model of random weights, through the command, held to its library's post-processing."""

import argparse
import json
import sys

import numpy as np
import pytest
import torch
import torchvision
import transformers
from PIL import Image
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.transforms.functional import pil_to_tensor
from transformers import AutoImageProcessor, AutoModelForObjectDetection, AutoModelForZeroShotObjectDetection

from flair_espvr.annotators import detectors, florence
from flair_espvr.annotators.detectors import (
    CLASS_FAMILIES,
    PROMPT_FAMILIES,
    TransformersDetector,
    load_detector,
    prompt_of,
)
from flair_espvr.annotators.object_detector import found_objects
from flair_espvr.commands import objects
from flair_espvr.data import PictureObject, read_objects
from flair_espvr.errors import ConfigurationError
from tests.annotators.tiny_models import florence2

PROMPTS = ["person", "traffic light"]
NAMES = {0: "person", 1: "traffic light", 2: "dog"}
LABELS = {"id2label": NAMES, "label2id": {name: number for number, name in NAMES.items()}}
STAGES = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "layer_type": "basic"}
LAYERS = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_queries": 6}
HEADS = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
EDGES = {"shortest_edge": 64, "longest_edge": 128}


def detr(folder):
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=transformers.ResNetConfig(**STAGES, out_features=["stage4"]),
        d_model=16,
        **LAYERS,
        **HEADS,
        **LABELS,
    )
    return transformers.DetrForObjectDetection(config), transformers.DetrImageProcessor(size=EDGES)


def rt_detr(folder, kind="RTDetr"):
    backbone = transformers.RTDetrResNetConfig(**STAGES, out_features=["stage2", "stage3", "stage4"])
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[8, 16, 16],
        d_model=16,
        decoder_in_channels=[16, 16, 16],
        num_denoising=0,
        **LAYERS,
        **HEADS,
        **LABELS,
    )
    model = getattr(transformers, f"{kind}ForObjectDetection")(config)
    return model, transformers.RTDetrImageProcessor(size={"height": 64, "width": 64})


def rt_detr_v2(folder):
    return rt_detr(folder, "RTDetrV2")


def grounding_dino(folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "person", "traffic", "light"]
    (folder / "vocab.txt").write_text("\n".join(words))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(
            image_size=64,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=2,
            out_indices=[2, 3, 4],
        ),
        text_config=transformers.BertConfig(vocab_size=len(words), **sizes),
        use_pretrained_backbone=False,
        d_model=32,
        max_text_len=32,
        **LAYERS,
        **HEADS,
    )
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"))
    processor = transformers.GroundingDinoProcessor(transformers.GroundingDinoImageProcessor(size=EDGES), tokenizer)
    return transformers.GroundingDinoForObjectDetection(config), processor


def owlv2(folder):
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["!", "<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizerFast(
        str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token="!", model_max_length=16
    )
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = transformers.Owlv2Config(
        text_config={"vocab_size": len(pieces), "max_position_embeddings": 16, **sizes, **special},
        vision_config={"image_size": 32, "patch_size": 16, **sizes},
        projection_dim=16,
    )
    image_processor = transformers.Owlv2ImageProcessor(size={"height": 32, "width": 32})
    return transformers.Owlv2ForObjectDetection(config), transformers.Owlv2Processor(image_processor, tokenizer)


BUILDERS = {
    "detr": detr,
    "rt_detr": rt_detr,
    "rt_detr_v2": rt_detr_v2,
    "grounding-dino": grounding_dino,
    "owlv2": owlv2,
}


def saved(build, folder):
    folder.mkdir()
    torch.manual_seed(0)
    model, processor = build(folder)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_detectors(tmp_path_factory):
    parent = tmp_path_factory.mktemp("detectors")
    return {family: saved(build, parent / family) for family, build in BUILDERS.items()}


@pytest.fixture
def pictures(tmp_path):
    """Two pictures of noise, of different shapes, and one file that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, shape in {"a": (40, 70, 3), "b": (90, 50, 3)}.items():
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{name}.png")
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    objects.add_arguments(parser)
    return objects.run(parser.parse_args([str(argument) for argument in arguments]))


def opened(folder):
    return {path.stem: Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png"))}


def check(found, labels, scores, boxes, size):
    """What stands in a file against what a library gives in pixels."""
    assert found
    edges = [np.clip(np.array(box) / [*size, *size], 0, 1).round(6).tolist() for box in boxes]
    with_area = [place for place, box in enumerate(edges) if box[0] < box[2] and box[1] < box[3]]
    order = sorted(with_area, key=lambda place: -round(scores[place], 6))
    assert [one.label for one in found] == [labels[place] for place in order]
    assert [one.score for one in found] == pytest.approx([scores[place] for place in order], abs=1e-6)
    for one, place in zip(found, order, strict=True):
        assert one.box == pytest.approx(edges[place], abs=1e-6)


@pytest.mark.parametrize("family", CLASS_FAMILIES)
def test_detectors_of_classes(tiny_detectors, pictures, tmp_path, family, capsys):
    out, model = tmp_path / "objects.jsonl", tiny_detectors[family]
    assert command(pictures, "--detector", model, "--threshold", 0.1, "--out", out) == 3
    output = capsys.readouterr()
    assert "objects of 2 of 3 pictures" in output.out
    assert "damaged" in output.err
    header = json.loads(out.read_text().splitlines()[0])["header"]
    assert (header["detector"], header["threshold"], header["prompts"]) == (family, 0.1, None)
    processor, network = AutoImageProcessor.from_pretrained(model), AutoModelForObjectDetection.from_pretrained(model)
    for image_id, image in opened(pictures).items():
        with torch.inference_mode():
            outputs = network.eval()(**processor(images=image, return_tensors="pt"))
        sizes = [(image.height, image.width)]
        (result,) = processor.post_process_object_detection(outputs, threshold=0.1, target_sizes=sizes)
        labels = [NAMES[number] for number in result["labels"].tolist()]
        check(read_objects(out)[image_id], labels, result["scores"].tolist(), result["boxes"].tolist(), image.size)


@pytest.mark.parametrize("family", PROMPT_FAMILIES)
def test_detectors_of_prompts(tiny_detectors, pictures, tmp_path, family):
    out, model = tmp_path / "objects.jsonl", tiny_detectors[family]
    arguments = ("--detector", model, "--prompts", "person, traffic light", "--threshold", 0, "--out", out)
    assert command(pictures, *arguments) == 3
    assert json.loads(out.read_text().splitlines()[0])["header"]["prompts"] == PROMPTS
    processor = transformers.AutoProcessor.from_pretrained(model)
    network = AutoModelForZeroShotObjectDetection.from_pretrained(model).eval()
    for image_id, image in opened(pictures).items():
        inputs = processor(images=image, text=[PROMPTS], return_tensors="pt")
        with torch.inference_mode():
            outputs = network(**inputs)
        sizes = [(image.height, image.width)]
        if family == "owlv2":
            (result,) = processor.post_process_grounded_object_detection(
                outputs, threshold=0, target_sizes=sizes, text_labels=[PROMPTS]
            )
            labels = result["text_labels"]
        else:
            (result,) = processor.post_process_grounded_object_detection(
                outputs, inputs["input_ids"], threshold=0, text_threshold=0, target_sizes=sizes
            )
            labels = [next(name for name in PROMPTS if name in phrase) for phrase in result["text_labels"]]
        check(read_objects(out)[image_id], labels, result["scores"].tolist(), result["boxes"].tolist(), image.size)


def test_torchvision(pictures, tmp_path, monkeypatch):
    name, weights = (
        "fasterrcnn_resnet50_fpn_v2",
        torchvision.models.detection.FasterRCNN_ResNet50_FPN_V2_Weights.DEFAULT,
    )
    torch.manual_seed(0)
    backbone = torch.nn.Conv2d(3, 8, 3, stride=16)
    backbone.out_channels = 8
    pool = torchvision.ops.MultiScaleRoIAlign(["0"], output_size=3, sampling_ratio=1)
    tiny = FasterRCNN(
        backbone,
        num_classes=len(weights.meta["categories"]),
        min_size=64,
        max_size=128,
        rpn_anchor_generator=AnchorGenerator(((16, 32),), ((1.0,),)),
        box_roi_pool=pool,
        box_score_thresh=0.0,
        box_detections_per_img=5,
    ).eval()

    def get_model(asked, weights):
        assert (asked, weights) == (name, weights)
        return tiny

    monkeypatch.setattr("torchvision.models.get_model", get_model)
    out = tmp_path / "objects.jsonl"
    assert command(pictures, "--detector", name, "--threshold", 0.005, "--out", out) == 3
    for image_id, image in opened(pictures).items():
        with torch.inference_mode():
            (result,) = tiny([pil_to_tensor(image) / 255])
        kept = [place for place, score in enumerate(result["scores"].tolist()) if score >= 0.005]
        labels, scores, boxes = (result[key].tolist() for key in ("labels", "scores", "boxes"))
        check(
            read_objects(out)[image_id],
            [weights.meta["categories"][labels[place]] for place in kept],
            [scores[place] for place in kept],
            [boxes[place] for place in kept],
            image.size,
        )
    with pytest.raises(ConfigurationError, match="takes no prompts"):
        command(pictures, "--detector", name, "--prompts", "dog", "--out", tmp_path / "other.jsonl")


@pytest.mark.parametrize("prompts", [None, "man,red car"])
def test_florence2(pictures, tmp_path, monkeypatch, prompts):
    monkeypatch.setattr(florence, "_MAX_NEW_TOKENS", 40)
    places = [f"<loc_{number}>" for number in range(0, 1000, 125)]

    def build(folder):
        model, (processor,) = florence2(folder, places=places)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.data.mul_(12)
        return model, processor

    model = saved(build, tmp_path / "florence")
    out = tmp_path / "objects.jsonl"
    asked = [] if prompts is None else ["--prompts", prompts]
    assert command(pictures, "--detector", model, *asked, "--out", out) == 3
    tiny = florence.Florence2(model)
    for image_id, image in opened(pictures).items():
        expected = []
        for prompt in [None] if prompts is None else prompts.split(","):
            if prompt is None:
                answer = tiny.answer(image, "<OD>")
                labels = answer["labels"]
            else:
                answer = tiny.answer(image, "<CAPTION_TO_PHRASE_GROUNDING>", prompt)
                labels = [prompt] * len(answer["bboxes"])
            expected += found_objects(labels, [1.0] * len(labels), answer["bboxes"], image.size)
        assert read_objects(out)[image_id] == expected


class Own:
    """A detector of one's own."""

    def __init__(self):
        self.settings = {"version": 3}

    def detect(self, pictures, prompts):
        return [[PictureObject("thing", 0.5, (0.0, 0.0, 0.5, 0.5))] for _ in pictures]


def test_ones_own_detector(pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "own_detector", sys.modules[__name__])
    out = tmp_path / "objects.jsonl"
    assert command(pictures, "--detector", "own_detector:Own", "--out", out) == 3
    header = json.loads(out.read_text().splitlines()[0])["header"]
    assert header == {"detector": "own_detector:Own", "version": 3, "prompts": None}
    assert [one.label for one in read_objects(out)["a"]] == ["thing"]
    for name in ("own_detector:Other", "no_such_module:Own"):
        with pytest.raises(ConfigurationError, match="no such class"):
            command(pictures, "--detector", name, "--out", out)
    with pytest.raises(ConfigurationError, match="a method detect"):
        command(pictures, "--detector", "collections:Counter", "--out", out)


def test_prompts_go_with_the_detector(tiny_detectors, pictures, tmp_path):
    out = tmp_path / "objects.jsonl"
    with pytest.raises(ConfigurationError, match="takes no prompts"):
        command(pictures, "--detector", tiny_detectors["detr"], "--prompts", "dog", "--out", out)
    for prompts in ((), ("--prompts", "dog,,cat")):
        with pytest.raises(ConfigurationError, match="give prompts"):
            command(pictures, "--detector", tiny_detectors["owlv2"], *prompts, "--out", out)
    assert not out.exists()


def test_models_are_found_as_everywhere(monkeypatch, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    found = []
    monkeypatch.setattr(detectors, "find_model", lambda name, *, revision: found.append(name) or str(tmp_path))
    monkeypatch.setattr(florence, "find_model", lambda name, *, revision: found.append(name) or str(tmp_path))
    for load in (
        lambda name: load_detector(name, prompts=None, revision=None, threshold=None),
        TransformersDetector,
        florence.Florence2,
    ):
        found.clear()
        with pytest.raises(ConfigurationError, match="'bert'; supported are"):
            load("package:detectors/model")
        assert found[0] == "package:detectors/model"


def test_a_model_of_another_family_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigurationError, match=r"family 'bert'.*DETR \(detr\).*OWLv2 \(owlv2\).*ObjectDetector"):
        load_detector(str(tmp_path), prompts=None, revision=None, threshold=None)


@pytest.mark.parametrize(
    ("phrase", "prompt"),
    [
        ("person", "person"),
        ("traffic light.", "traffic light"),
        ("light", "traffic light"),
        ("traffic light person", "traffic light"),
        ("personal", ""),
        ("", ""),
    ],
)
def test_the_prompt_of_a_phrase(phrase, prompt):
    assert prompt_of(phrase, ["person", "Traffic Light"]).lower() == prompt


def test_boxes_are_cut_to_the_picture_and_what_is_left_without_area_is_dropped():
    boxes = {
        "inside": (10, 10, 50, 25),
        "beyond": (-5, -5, 200, 100),
        "outside": (120, 10, 130, 20),
        "flat": (10, 10, 10, 20),
        "nan": (0, 0, float("nan"), 10),
    }
    objects = found_objects(boxes, [0.5] * len(boxes), boxes.values(), (100, 50))
    assert [(one.label, one.box) for one in objects] == [
        ("inside", (0.1, 0.2, 0.5, 0.5)),
        ("beyond", (0.0, 0.0, 1.0, 1.0)),
    ]
