import io
from pathlib import Path

import numpy as np
import pytest
import torch
from flair.data import Sentence
from PIL import Image

from flair_espvr import ImageRegionEmbeddings, PictureObject
from flair_espvr.data.object_labels import ObjectLabels, object_labels, one_of_each, sentence_objects
from flair_espvr.embeddings.image.objects import object_features
from flair_espvr.errors import BadImageError, RegionStoreError
from flair_espvr.images.store.region_store import RegionStore

WHOLE, LEFT, CORNER, SPECK = (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.5, 1.0), (0.5, 0.25, 1.0, 0.75), (0.999, 0.0, 1.0, 1e-9)
PIXELS = {WHOLE: (0, 0, 40, 80), LEFT: (0, 0, 20, 80), CORNER: (20, 20, 40, 60), SPECK: (39, 0, 40, 1)}


def tiny(**arguments: object) -> ImageRegionEmbeddings:
    torch.manual_seed(0)
    sizes = {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
    settings = {"image_size": 64, "pretrained": False, "model_arguments": sizes, **arguments}
    return ImageRegionEmbeddings("swin_tiny_patch4_window7_224", **settings)


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def post(picture: object = None, *objects: PictureObject) -> Sentence:
    sentence = Sentence("Kevin Durant")
    if picture is not None:
        sentence.add_metadata("image", picture)
    if objects:
        sentence.add_metadata("objects", list(objects))
    return sentence


@pytest.fixture
def images() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (80, 40, 3), dtype=np.uint8)) for _ in range(2)]


def test_a_crop_is_what_the_backbone_sees_of_that_part_alone(images: list[Image.Image]) -> None:
    embeddings = tiny(batch_size=3)
    posts = [post(encoded(images[0])), post(), post(encoded(images[1]))]
    boxes = [[WHOLE, LEFT, SPECK], [LEFT, None, None], [CORNER, None, LEFT]]
    vectors, present = embeddings.crops(posts, boxes)
    assert present == [[True, True, True], [False, False, False], [True, False, True]]
    assert vectors.shape == (3, 3, 128)
    for row, image in ((0, images[0]), (2, images[1])):
        for place, box in enumerate(boxes[row]):
            if box is None:
                assert not vectors[row, place].any()
            else:
                alone = embeddings.regions([post(encoded(image.crop(PIXELS[box])))]).pooled[0]
                torch.testing.assert_close(vectors[row, place], alone, atol=2e-3, rtol=1e-3)  # float16, other batch
    assert not vectors[1].any()


def test_crops_are_computed_once_and_kept_in_a_store_of_their_own(
    images: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tiny(store=tmp_path / "store")
    posts, boxes = [post(images[0]), post(images[0])], [[LEFT, CORNER], [LEFT, None]]
    vectors, _ = first.crops(posts, boxes)
    first.regions(posts)
    assert torch.equal(vectors[0, 0], vectors[1, 0])
    assert (len(RegionStore(tmp_path / "store")), len(RegionStore(tmp_path / "store" / "crops"))) == (1, 2)
    assert RegionStore(tmp_path / "store" / "crops").verify() == []

    monkeypatch.setattr("flair_espvr.embeddings.image.regions.Backbone", lambda *_, **__: pytest.fail("built"))
    again = tiny(store=tmp_path / "store", read_only=True)
    assert torch.equal(again.crops(posts, boxes)[0], vectors)
    loaded = ImageRegionEmbeddings.from_params(first.to_params())
    assert torch.equal(loaded.crops(posts, boxes)[0], vectors)


def test_a_store_that_is_only_read_gains_no_crops(images: list[Image.Image], tmp_path: Path) -> None:
    tiny(store=tmp_path / "store").regions([post(images[0])])
    reader = tiny(store=tmp_path / "store", read_only=True)
    assert reader.crops([post(images[0])], [[LEFT]])[1] == [[True]]
    assert not (tmp_path / "store" / "crops").exists()


def test_crops_of_another_backbone_are_refused(images: list[Image.Image], tmp_path: Path) -> None:
    other = tiny(store=tmp_path / "other", image_size=32)
    other.crops([post(images[0])], [[LEFT]])
    tiny(store=tmp_path / "store").regions([post(images[0])])
    (tmp_path / "other" / "crops").rename(tmp_path / "store" / "crops")
    with pytest.raises(RegionStoreError, match="image_size is 32"):
        tiny(store=tmp_path / "store").crops([post(images[0])], [[LEFT]])


def test_a_picture_that_cannot_be_read_has_no_crops(images: list[Image.Image]) -> None:
    damaged = encoded(images[0])[:-100]
    bad, good = post(damaged), post(images[1])
    vectors, present = tiny().crops([bad, good], [[LEFT, CORNER], [LEFT, None]])
    assert present == [[False, False], [True, False]]
    assert "damaged" in bad.get_metadata("image_error")
    assert not vectors[0].any()
    with pytest.raises(BadImageError):
        tiny(on_bad_image="raise").crops([bad], [[LEFT]])


DOG, CAT = PictureObject("dog", 0.5, LEFT), PictureObject("cat", 0.75, CORNER)


def test_features_of_objects(images: list[Image.Image]) -> None:
    posts = [post(images[0], DOG, CAT), post(None, DOG), post(images[1])]
    labels = ObjectLabels(object_labels(posts, at_least=2))
    chosen = [sentence_objects(sentence, most=5) for sentence in posts]
    features = object_features(posts, chosen, labels)
    assert features is not None
    assert (labels.labels, len(labels)) == (("dog",), 2)
    assert features.labels.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert features.mask.tolist() == [[True, True], [True, False], [False, False]]
    assert features.boxes[0].tolist() == [list(CORNER), list(LEFT)]
    assert features.vectors is None

    embeddings = tiny()
    with_crops = object_features(posts, chosen, labels, crops_by=embeddings)
    assert with_crops is not None
    assert with_crops.vectors is not None
    assert with_crops.mask.tolist() == [[True, True], [False, False], [False, False]]
    torch.testing.assert_close(with_crops.vectors, embeddings.crops(posts, [[CORNER, LEFT], [None] * 2, [None] * 2])[0])
    assert object_features(posts[1:], chosen[1:], labels, crops_by=embeddings) is None
    assert object_features(posts[2:], chosen[2:], labels) is None


def test_the_surest_object_of_each_label() -> None:
    faint = PictureObject("dog", 0.1, WHOLE)
    sentence = post(None, faint, DOG, CAT)
    assert one_of_each(sentence, ["person", "dog", "cat"]) == [None, DOG, CAT]
    assert sentence_objects(sentence, most=2) == [CAT, DOG]
    assert object_labels([sentence, post(None, CAT)]) == ("cat", "dog")
    with pytest.raises(ValueError, match="twice"):
        ObjectLabels(["dog", "dog"])


def test_an_object_is_a_crop_of_its_own_picture(images: list[Image.Image]) -> None:
    embeddings, pictures = tiny(), list(map(encoded, images))
    of_second = PictureObject("dog", 0.9, LEFT, image=1)
    posts = [
        post(pictures, of_second),
        post(pictures[1], PictureObject("dog", 0.9, LEFT)),
        post(pictures[0], of_second),
    ]
    features = object_features(posts, list(map(sentence_objects, posts)), ObjectLabels(["dog"]), crops_by=embeddings)
    assert features is not None
    assert features.vectors is not None
    assert features.images is not None
    assert torch.equal(features.vectors[0], features.vectors[1])
    assert features.mask.tolist() == [[True], [True], [False]]  # the third post has no second picture
    assert features.images.tolist() == [[1], [0], [1]]
