import pytest
import timm
from torch import Tensor, nn

from flair_espvr.embeddings.image.cpu_batching import RECYCLED_BYTES, images_at_once, largest_activation


class Widening(nn.Module):
    """Gives three channels more with every layer and halves the picture at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 9, 1), nn.MaxPool2d(2))

    def forward_features(self, images: Tensor) -> Tensor:
        return self.layers(images)


@pytest.mark.parametrize(("image_size", "at_once"), [(8, RECYCLED_BYTES // (9 * 8 * 8 * 4)), (2048, 1)])
def test_the_largest_layer_decides(image_size, at_once):
    model = Widening()
    assert largest_activation(model, image_size) == 9 * image_size**2 * 4
    assert images_at_once(model, image_size) == at_once


@pytest.mark.parametrize(
    ("name", "image_size", "largest"),
    [
        ("tf_efficientnet_lite0", 384, 96 * 192 * 192),  # the first block that expands, before its stride
        ("vit_small_patch14_dinov2", 168, 145 * 4 * 384),  # the hidden layer of an MLP
    ],
)
def test_backbones_as_their_papers_describe_them(name, image_size, largest):
    arguments = {"img_size": image_size} if name.startswith("vit") else {}
    model = timm.create_model(name, **arguments).eval()
    assert largest_activation(model, image_size) == 4 * largest


def test_no_hook_stays():
    model = Widening()
    largest_activation(model, 4)
    with pytest.raises(RuntimeError):
        largest_activation(model, -1)
    assert not any(module._forward_hooks for module in model.modules())
