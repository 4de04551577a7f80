import copy
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import flair
import numpy as np
import pytest
import torch
from flair.data import Sentence
from flair.embeddings.base import load_embeddings
from PIL import Image

from flair_espvr.embeddings.image import regions as image_regions
from flair_espvr.embeddings.image.regions import ImageRegionEmbeddings
from flair_espvr.errors import BadImageError, ConfigurationError, RegionStoreError
from flair_espvr.images.loading import content_key, load_image
from flair_espvr.images.store.region_store import RegionStore

TINY_SWIN = {
    "model": "swin_tiny_patch4_window7_224",
    "image_size": 64,
    "pretrained": False,
    "model_arguments": {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)},
}


def tiny(**arguments) -> ImageRegionEmbeddings:
    torch.manual_seed(0)
    embeddings = ImageRegionEmbeddings(**{**TINY_SWIN, **arguments})
    if "store" not in arguments:
        assert embeddings.embedding_length == 128  # builds the backbone, with the seed above
    return embeddings


def post(picture=None, text="Kevin Durant") -> Sentence:
    sentence = Sentence(text)
    if picture is not None:
        sentence.add_metadata("image", picture)
    return sentence


def encoded(seed: int) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (50 + seed, 70, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for seed in range(6):
        paths.append(tmp_path / f"{seed}.jpg")
        paths[-1].write_bytes(encoded(seed))
    return paths


@pytest.fixture
def full_store(tmp_path, pictures):
    embeddings = tiny(store=tmp_path / "store")
    embeddings.regions([post(path) for path in pictures])
    return tmp_path / "store"


def no_backbone(monkeypatch):
    monkeypatch.setattr("flair_espvr.embeddings.image.regions.Backbone", lambda *_, **__: pytest.fail("built"))


def test_each_row_holds_its_own_picture(pictures):
    embeddings = tiny(batch_size=2)
    batch = embeddings.regions([post(pictures[2]), post(), post(pictures[0]), post("/nowhere.jpg"), post(pictures[2])])
    assert (batch.pooled.shape, batch.regions.shape, batch.grid) == ((5, 128), (5, 4, 128), (2, 2))
    assert (batch.pooled.dtype, batch.regions.dtype, batch.present.dtype) == (torch.float32, torch.float32, torch.bool)
    assert batch.present.tolist() == [True, False, True, False, True]
    assert not batch.regions[[1, 3]].any()
    assert not batch.pooled[[1, 3]].any()
    assert torch.equal(batch.regions[0], batch.regions[4])
    for row, seed in ((0, 2), (2, 0)):
        alone = embeddings.regions([post(pictures[seed])])
        torch.testing.assert_close(batch.regions[row], alone.regions[0], atol=4e-3, rtol=4e-3)
        torch.testing.assert_close(batch.pooled[row], alone.pooled[0], atol=4e-3, rtol=4e-3)


def test_a_region_looks_at_its_own_cell():
    """The quarter of the picture that is changed is the region that changes most: rows before columns."""
    embeddings = tiny()
    for row in (0, 1):
        for column in (0, 1):
            changed = Image.new("RGB", (64, 32), "grey")
            changed.paste("red", (32 * column, 16 * row, 32 * column + 32, 16 * row + 16))
            batch = embeddings.regions([post(Image.new("RGB", (64, 32), "grey")), post(changed)])
            difference = (batch.regions[1] - batch.regions[0]).norm(dim=-1)
            assert difference.argmax().item() == 2 * row + column


def test_reading_ahead_reads_what_the_store_holds_and_passes_over_the_rest(full_store, pictures, monkeypatch):
    warmed, done = [], threading.Event()
    warm = RegionStore.warm
    monkeypatch.setattr(RegionStore, "warm", lambda store, key: (warm(store, key), warmed.append(key)))
    new, bad = pictures[0].with_name("new.png"), pictures[0].with_name("bad.png")
    new.write_bytes(encoded(7))
    bad.write_bytes(b"no picture")
    posts = [post(pictures[2]), post("/nowhere.jpg"), post(bad), post(new), post(), post(str(pictures[0]))]
    embeddings = tiny(store=full_store, on_bad_image="raise")
    monkeypatch.setattr("flair_espvr.embeddings.image.regions._warm", then(done, image_regions._warm))
    embeddings.prefetch(posts)
    assert done.wait(30)
    assert warmed[0] == content_key(pictures[2])
    assert warmed[-1] == content_key(pictures[0])
    assert torch.equal(embeddings.regions(posts[-1:]).regions, tiny(store=full_store).regions(posts[-1:]).regions)


def test_reading_ahead_from_a_damaged_store_leaves_the_error_to_who_needs_the_features(
    full_store, pictures, monkeypatch
):
    embeddings, done = tiny(store=full_store), threading.Event()
    monkeypatch.setattr(RegionStore, "_decoded", raiser(RegionStoreError("damaged")))
    monkeypatch.setattr(RegionStore, "warm", raiser(RegionStoreError("damaged")))
    monkeypatch.setattr("flair_espvr.embeddings.image.regions._warm", then(done, image_regions._warm))
    embeddings.prefetch([post(pictures[0])])
    assert done.wait(30)
    with pytest.raises(RegionStoreError, match="damaged"):
        embeddings.regions([post(pictures[0])])


def test_nothing_is_read_ahead_without_a_store(pictures, monkeypatch):
    monkeypatch.setattr("flair_espvr.embeddings.image.regions.in_background", lambda work: pytest.fail("read ahead"))
    tiny().prefetch([post(pictures[0])])


def then(event, function):
    """The function; sets the event where it returns without an error."""

    def run(*arguments):
        function(*arguments)
        event.set()

    return run


def raiser(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize("posts", [[], [post()], [post(), post()], [post("/nowhere.jpg")]])
def test_batches_without_pictures_have_the_right_shape(posts):
    batch = tiny().regions(posts)
    assert (batch.pooled.shape, batch.regions.shape) == ((len(posts), 128), (len(posts), 4, 128))
    assert batch.present.tolist() == [False] * len(posts)


def test_paths_bytes_and_opened_pictures_are_the_same(pictures):
    embeddings, path = tiny(), pictures[1]
    sources = [path, str(path), path.read_bytes(), Image.open(path), load_image(path)]
    batch = embeddings.regions([post(source) for source in sources])
    for row in range(1, 5):
        torch.testing.assert_close(batch.regions[row], batch.regions[0], atol=4e-3, rtol=4e-3)


def test_a_picture_of_many_posts_is_computed_once(pictures, tmp_path):
    embeddings = tiny()
    copied = tmp_path / "copy.png"
    copied.write_bytes(pictures[0].read_bytes())
    seen = []
    encode = embeddings._built_backbone().encode
    embeddings._built_backbone().encode = lambda pixels, device: seen.append(len(pixels)) or encode(pixels, device)
    embeddings.regions([post(pictures[0]), post(copied), post(pictures[0].read_bytes()), post(pictures[1])])
    assert seen == [2]


def test_as_flair_embeddings_they_put_b_0_on_the_sentence(pictures):
    embeddings, posts = tiny(), [post(pictures[0]), post()]
    embeddings.embed(posts)
    pooled = embeddings.regions(posts).pooled
    assert embeddings.embedding_length == 128
    for sentence, vector in zip(posts, pooled, strict=True):
        assert torch.equal(sentence.get_embedding([embeddings.name]), vector)


def test_they_are_frozen_and_no_part_of_a_model(pictures):
    embeddings = tiny()
    model = torch.nn.Sequential(embeddings)
    before = embeddings.header.fingerprint
    model.train()
    batch = embeddings.regions([post(path) for path in pictures])
    assert not batch.regions.requires_grad
    assert list(model.parameters()) == []
    assert model.state_dict() == {}
    assert not embeddings._built_backbone().model.training
    assert embeddings._built_backbone().header.fingerprint == before


def test_vectors_may_enter_a_loss(pictures):
    head = torch.nn.Linear(128, 1)
    head(tiny().regions([post(pictures[0])]).regions).sum().backward()
    assert head.weight.grad.any()


def test_bad_pictures_are_named_once_and_listed(tmp_path, caplog):
    text, cut = tmp_path / "text.jpg", tmp_path / "cut.png"
    text.write_text("404")
    cut.write_bytes(encoded(0)[:400])
    embeddings = tiny()
    with caplog.at_level("WARNING", logger="flair"):
        for _ in range(2):
            posts = [post(text), post(cut), post(text), post(cut), post(tmp_path / "none.jpg")]
            embeddings.regions(posts)
            reasons = [sentence.get_metadata("image_error") for sentence in posts]
            assert reasons[:2] == reasons[2:4]
            assert reasons[4] == "no such file"
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    with pytest.raises(BadImageError, match=r"text\.jpg"):
        tiny(on_bad_image="raise").regions([post(text)])
    with pytest.raises(BadImageError, match=r"cut\.png"):
        tiny(on_bad_image="raise").regions([post(cut)])


def test_a_mended_file_is_read_again(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"later")
    embeddings = tiny()
    assert not embeddings.regions([post(path)]).present.item()
    path.write_bytes(encoded(1))
    assert embeddings.regions([post(path)]).present.item()


def test_a_store_changes_no_result(pictures, full_store):
    posts = [post(path) for path in pictures]
    fresh, stored = tiny().regions(posts), tiny(store=full_store).regions(posts)
    assert torch.equal(fresh.regions, stored.regions)
    assert torch.equal(fresh.pooled, stored.pooled)
    assert len(RegionStore(full_store)) == 6


def test_with_all_in_the_store_no_backbone_is_built(pictures, full_store, monkeypatch):
    no_backbone(monkeypatch)
    embeddings = ImageRegionEmbeddings(**TINY_SWIN, store=full_store, read_only=True)
    assert (embeddings.embedding_length, embeddings.grid) == (128, (2, 2))
    assert embeddings.regions([post(path) for path in pictures] + [post("/nowhere.jpg")]).present.sum() == 6


def test_with_all_in_the_store_timm_is_not_even_imported(pictures, full_store):
    program = f"""
import sys
from flair.data import Sentence
from flair_espvr.embeddings.image.regions import ImageRegionEmbeddings
sentence = Sentence("a")
sentence.add_metadata("image", {str(pictures[0])!r})
embeddings = ImageRegionEmbeddings(**{TINY_SWIN!r}, store={str(full_store)!r}, read_only=True)
assert embeddings.regions([sentence]).present.item()
assert "timm" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_misses_are_added_unless_the_store_is_read_only(pictures, full_store, tmp_path):
    torch.manual_seed(0)
    new = post(encoded(20))
    read_only = tiny(store=full_store, read_only=True)
    expected = read_only.regions([new, post(pictures[0])])
    assert expected.present.all()
    assert len(RegionStore(full_store)) == 6
    adding = tiny(store=full_store)
    assert torch.equal(adding.regions([new, post(pictures[0])]).regions, expected.regions)
    assert len(RegionStore(full_store)) == 7


@pytest.mark.parametrize(
    "other",
    [
        {"model": "resnet18", "model_arguments": None},
        {"image_size": 128},
        {"stages": 2},
        {"model_arguments": {**TINY_SWIN["model_arguments"], "window_size": 1}},
    ],
)
def test_a_store_of_other_features_is_refused_at_once(full_store, other):
    with pytest.raises(RegionStoreError, match="another kind"):
        ImageRegionEmbeddings(**{**TINY_SWIN, **other}, store=full_store)


def test_a_store_of_other_weights_is_refused_when_the_backbone_is_built(full_store):
    torch.manual_seed(1)
    embeddings = ImageRegionEmbeddings(**TINY_SWIN, store=full_store)
    with pytest.raises(RegionStoreError, match="fingerprint is"):
        embeddings.regions([post(encoded(20))])


def test_the_store_says_the_image_size_where_nobody_else_does(pictures, full_store):
    embeddings = ImageRegionEmbeddings(**{**TINY_SWIN, "image_size": None}, store=full_store)
    assert embeddings.header.image_size == 64


def test_a_read_only_store_must_exist(tmp_path):
    with pytest.raises(RegionStoreError, match="no region store"):
        ImageRegionEmbeddings(**TINY_SWIN, store=tmp_path / "none", read_only=True)


def test_two_embeddings_of_a_process_may_fill_one_store(tmp_path):
    first, second = tiny(store=tmp_path / "store"), tiny(store=tmp_path / "store")
    torch.manual_seed(0)
    first.regions([post(encoded(1))])
    torch.manual_seed(0)
    second.regions([post(encoded(2))])
    first.regions([post(encoded(3))])
    assert len(RegionStore(tmp_path / "store")) == 3


def test_a_forked_worker_and_its_parent_fill_one_store_in_turns(full_store):
    torch.manual_seed(0)
    embeddings = tiny(store=full_store)
    embeddings.regions([post(encoded(20))])
    worker = multiprocessing.get_context("fork").Process(target=fill, args=(embeddings, encoded(21)))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    embeddings.regions([post(encoded(22))])
    assert len(RegionStore(full_store)) == 9
    assert RegionStore(full_store).verify() == []


def fill(embeddings: ImageRegionEmbeddings, picture: bytes) -> None:
    torch.set_num_threads(1)  # OpenMP's threads stay behind in the parent
    assert embeddings.regions([post(picture)]).present.item()


def test_saved_and_loaded_they_are_the_same(pictures, full_store, monkeypatch):
    posts = [post(path) for path in pictures]
    original = tiny(store=full_store)
    saved = original.save_embeddings(use_state_dict=False)
    no_backbone(monkeypatch)
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    loaded = load_embeddings(torch.load(file, weights_only=True))
    assert isinstance(loaded, ImageRegionEmbeddings)
    assert loaded.read_only
    assert torch.equal(loaded.regions(posts).regions, original.regions(posts).regions)
    assert loaded.to_params() == original.to_params()
    for other in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        assert torch.equal(other.regions(posts).regions, original.regions(posts).regions)


def test_loaded_where_the_store_is_gone_the_backbone_takes_over(pictures, full_store, tmp_path):
    saved = tiny(store=full_store).save_embeddings(use_state_dict=False)
    full_store.rename(tmp_path / "moved")
    loaded = load_embeddings(dict(saved))
    assert (loaded.embedding_length, loaded.grid) == (128, (2, 2))
    torch.manual_seed(1)
    with pytest.raises(RegionStoreError, match="fingerprint"):
        loaded.regions([post(pictures[0])])
    loaded.use_store(tmp_path / "moved", read_only=True)
    assert loaded.regions([post(pictures[0])]).present.item()


def test_loaded_where_the_store_is_damaged_the_backbone_takes_over(pictures, full_store, caplog):
    posts = [post(path) for path in pictures]
    original = tiny(store=full_store)
    expected, weights = original.regions(posts), original.backbone_state()
    saved = original.save_embeddings(use_state_dict=False)
    RegionStore(full_store).close()
    os.truncate(full_store / "data.mdb", 5_000)
    loaded = load_embeddings(saved)
    loaded.load_backbone_state(weights)
    for _ in range(2):
        assert torch.equal(loaded.regions(posts).regions, expected.regions)
    (message,) = [record.getMessage() for record in caplog.records if str(full_store) in record.getMessage()]
    assert "cut off" in message
    assert "Pictures will be computed" in message


def test_loaded_where_the_store_may_not_be_looked_at_the_backbone_takes_over(full_store):
    """As below another user's home."""
    saved = tiny(store=full_store).save_embeddings(use_state_dict=False)
    full_store.parent.chmod(0)
    child = multiprocessing.get_context("fork").Process(target=load_as_nobody, args=(saved,))
    child.start()
    child.join()
    full_store.parent.chmod(0o700)
    assert child.exitcode == 0


def load_as_nobody(saved: dict[str, object]) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)
    assert load_embeddings(saved).grid == (2, 2)
    with pytest.raises(RegionStoreError, match="Permission denied"):
        tiny(store=saved["store"])


def test_the_backbone_may_travel_in_the_model_file(pictures):
    original = tiny()
    saved, weights = original.save_embeddings(use_state_dict=False), original.backbone_state()
    torch.manual_seed(1)
    loaded = load_embeddings(saved)
    loaded.load_backbone_state(weights)
    posts = [post(path) for path in pictures]
    assert torch.equal(loaded.regions(posts).regions, original.regions(posts).regions)


def test_a_damaged_header_is_an_error():
    saved = tiny().save_embeddings(use_state_dict=False)
    for header in ({}, None, {**saved["header"], "version": 9}):
        with pytest.raises(ConfigurationError, match="damaged"):
            load_embeddings({**saved, "header": header})


@pytest.mark.parametrize("arguments", [{"on_bad_image": "ignore"}, {"batch_size": 0}, {"stages": 0}])
def test_arguments_are_checked(arguments):
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        ImageRegionEmbeddings(**TINY_SWIN, **arguments)


def test_vectors_follow_flair_s_device_at_the_time_of_the_call(pictures, full_store, monkeypatch):
    embeddings = tiny(store=full_store)
    monkeypatch.setattr(flair, "device", torch.device("meta"))
    batch = embeddings.regions([post(pictures[0]), post()])
    assert {batch.regions.device.type, batch.pooled.device.type, batch.present.device.type} == {"meta"}


def test_several_pictures_are_those_of_posts_with_one_side_by_side(pictures, tmp_path):
    """To the last bit; a picture that cannot be read leaves its place empty, and none at the end."""
    (tmp_path / "bad.png").write_bytes(b"no picture")
    bad = tmp_path / "bad.png"
    embeddings = tiny()
    alone = embeddings.regions([post(path) for path in pictures[:3]])
    assert alone.several is None
    lists = embeddings.regions([post([path]) for path in pictures[:3]])
    trailing = [post([pictures[0], bad]), post(pictures[1]), post([pictures[2], "/nowhere.jpg"])]
    for same in (lists, embeddings.regions(trailing)):
        assert same.several is None
        assert all(torch.equal(vars(same)[name], vars(alone)[name]) for name in ("regions", "pooled", "present"))
    assert "no such file" in trailing[2].get_metadata("image_error")[1]
    assert not embeddings.regions([post([]), post([bad])]).count

    posts = [post([pictures[0], bad, pictures[2]]), post(pictures[1]), post()]
    batch = embeddings.regions(posts)
    assert (batch.regions.shape, batch.count, batch.present.tolist()) == ((3, 12, 128), 2, [True, True, False])
    assert batch.slots.tolist() == [[True, False, True], [True, False, False], [False] * 3]
    assert torch.equal(batch.mask, batch.slots.repeat_interleave(4, dim=1))
    by_picture = batch.regions.unflatten(1, (3, 4))
    for row, slot, picture in ((0, 0, 0), (0, 2, 2), (1, 0, 1)):
        torch.testing.assert_close(by_picture[row, slot], alone.regions[picture], atol=4e-3, rtol=4e-3)
    assert not by_picture[~batch.slots].any()
    torch.testing.assert_close(batch.pooled[0], alone.pooled[[0, 2]].mean(dim=0), atol=4e-3, rtol=4e-3)
    assert posts[0].get_metadata("image_error").keys() == {1}
    with pytest.raises(BadImageError, match="no such file"):
        tiny(on_bad_image="raise").regions([post([pictures[0], "/nowhere.jpg"])])
