"""One contract for every registered model, on top of Flair's: a model that passes it is done."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from flair.data import Corpus, Label, Sentence
from flair.nn import Classifier
from flair.trainers.plugins import TrainerPlugin

from flair_espvr import MultimodalTagger, PictureObject, Region, list_models
from flair_espvr.errors import ConfigurationError, UnsafeModelError
from flair_espvr.models.registry import model_class
from flair_espvr.training.trainer.resume import ResumableTrainer

pytestmark = pytest.mark.parametrize("name", list_models())

Build = Callable[..., MultimodalTagger]


class Killed(Exception):  # noqa: N818 - no error
    """Ends a training as a kill would."""


class Kill(TrainerPlugin):
    def __init__(self, *, armed: bool) -> None:
        super().__init__()
        self.armed = armed

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_epoch(self, epoch: int, **_: Any) -> None:
        if self.armed and epoch == 3:
            raise Killed


SHOWN = (Region(0.0, 0.0, 0.5, 1.0), Region(0.5, 0.5, 1.0, 1.0))
"""Of the 2 x 2 regions that the pictures have, whole ones."""


@pytest.fixture
def posts(posts: list[Sentence]) -> list[Sentence]:
    """Those of all tests, some with objects, one of these without the picture that they were seen in.

    Of most entities it is known where the picture shows them: in two places, one or none.
    """
    person, ball = PictureObject("person", 0.9, (0.0, 0.0, 0.5, 1.0)), PictureObject("ball", 0.5, (0.5, 0.5, 1.0, 1.0))
    for number, objects in ((0, [ball, person]), (1, []), (4, [person]), (7, [person])):
        posts[number].add_metadata("objects", objects)
    known = [[SHOWN, ()], [SHOWN[1:]], [], [], [()], [()], [], [SHOWN[:1], None]]
    for post, places in zip(posts, known, strict=True):
        for span, regions in zip(post.get_spans("ner"), places, strict=False):
            if regions is not None:
                span.get_label("ner").metadata["regions"] = regions
    return posts


def place_of(label: Label) -> list[Any]:
    """What a label says of its picture; where weights lie in memory may change the last bits of a feature."""
    region, grounded = label.metadata.get("region"), label.metadata.get("grounded")
    said = [*([] if region is None else asdict(region).values()), *([] if grounded is None else [grounded])]
    return [pytest.approx(value, abs=2e-3) for value in said]


def found(tagger: Classifier[Sentence], posts: list[Sentence]) -> list[list[tuple[Any, ...]]]:
    tagger.predict(posts, label_name="found")
    return [
        [
            (label.unlabeled_identifier, label.value, pytest.approx(label.score, abs=2e-3), place_of(label))
            for label in post.get_labels("found")
        ]
        for post in posts
    ]


def learn(tagger: MultimodalTagger, posts: list[Sentence], steps: int = 150) -> list[dict[str, float]]:
    """Fits the tagger to a few posts; gives the terms of the loss at each step."""
    optimizer = torch.optim.Adam(tagger.parameters(), lr=5e-3)
    tagger.train()
    terms = []
    for _ in range(steps):
        loss, words = tagger.forward_loss(posts)
        optimizer.zero_grad()
        (loss / words).backward()
        optimizer.step()
        terms.append({name: float(term) for name, term in tagger.last_losses.items()})
    tagger.eval()
    return terms


@pytest.fixture
def trained(name: str, build: Build, posts: list[Sentence]) -> MultimodalTagger:
    tagger = build(name)
    learn(tagger, posts, steps=30)
    return tagger


def test_every_way_of_saving_and_loading_gives_the_same_tagger(
    name: str, trained: MultimodalTagger, posts: list[Sentence], tmp_path: Path
) -> None:
    expected = found(trained, posts)
    assert any(expected)
    trained.save(tmp_path / "model.pt")
    trained.save_pretrained(tmp_path / "export", include_backbone=trained.region_embeddings is not None)
    kind = model_class(name)
    for loaded in (
        kind.load(tmp_path / "model.pt"),
        MultimodalTagger.load(tmp_path / "model.pt"),
        kind.from_pretrained(tmp_path / "export"),
        MultimodalTagger.from_pretrained(tmp_path / "export"),
        Classifier.load(tmp_path / "model.pt"),
    ):
        assert type(loaded) is kind
        assert loaded.config == trained.config
        assert found(loaded, posts) == expected
    for other in set(list_models()) - {name}:
        with pytest.raises(UnsafeModelError, match=f"holds a '{kind.__name__}', not a {model_class(other).__name__}"):
            model_class(other).load(tmp_path / "model.pt")


def test_a_post_gets_what_it_gets_alone(name: str, trained: MultimodalTagger, posts: list[Sentence]) -> None:
    """With image and caption, without either, in batches of any size."""
    for post, image in zip(posts, [*[None] * 4, *["gone.jpg"] * 4], strict=True):
        if image is not None and not post.has_metadata("image"):
            post.add_metadata("image", image)
    together = found(trained, posts)
    alone = [row for post in posts for row in found(trained, [post])]
    assert [[entity[:2] for entity in row] for row in alone] == [[entity[:2] for entity in row] for row in together]
    assert [[entity[2].expected for entity in row] for row in alone] == [
        [entity[2] for entity in row] for row in together
    ]


def test_images_are_used_and_never_needed(
    name: str, trained: MultimodalTagger, posts: list[Sentence], pictures: list[Path]
) -> None:
    def emissions(image: Path | None, beside: list[Sentence]) -> torch.Tensor:
        post = Sentence(["mary", "is", "in", "oakland"])
        if image is not None:
            post.add_metadata("image", image)
        with torch.no_grad():
            return trained([post, *beside])[0].emissions[0, :4]

    without = emissions(None, [])
    torch.testing.assert_close(emissions(None, posts[:2]), without, rtol=1e-4, atol=1e-4)  # next to posts with images
    assert trained.config.reads_images == (not torch.allclose(emissions(pictures[0], []), without, atol=1e-4))


def test_any_number_of_objects_in_any_order(name: str, build: Build, pictures: list[Path]) -> None:
    """None looked for, none found, one, and three hundred, also of a hair's width, with names in any script."""
    hair = (0.5, 0.5, 0.5 + 1e-9, 1.0)
    one = PictureObject("person", 0.999, (0.0, 0.0, 0.5, 1.0))
    many = [one, *(PictureObject(f"木 {number % 7}", number / 300, hair) for number in range(299))]
    tagger = build(name).eval()

    def emissions(*found: list[PictureObject] | None) -> torch.Tensor:
        batch = []
        for objects in found:
            batch.append(Sentence(["mary", "is", "in", "oakland"]))
            batch[-1].add_metadata("image", pictures[0])
            if objects is not None:
                batch[-1].add_metadata("objects", objects)
        with torch.no_grad():
            return tagger(batch)[0].emissions

    never, nothing, single, crowd, turned = emissions(None, [], [one], many, many[::-1])
    assert torch.isfinite(crowd).all()
    near: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
    for got, expected in ((nothing, never), (turned, crowd), (emissions([one])[0], single), (emissions([])[0], never)):
        torch.testing.assert_close(got, expected, **near)
    assert tagger.config.reads_objects == (not torch.allclose(single, nothing, **near))


def test_every_term_of_the_loss_falls(name: str, build: Build, posts: list[Sentence]) -> None:
    dropouts = {field: 0.0 for field in model_class(name).config_class.model_fields if "dropout" in field}
    terms = learn(build(name, **dropouts), posts)
    grounding = {"regions", "presence"} if build(name).config.reads_images else set()
    assert terms[0].keys() == terms[-1].keys() >= {"tags"} | grounding
    for term, before in terms[0].items():  # the grounding head has its own dropout, so several steps
        assert mean(step[term] for step in terms[-20:]) < 0.7 * before, term
    assert set(build(name).network.loss_weights) <= set(terms[0])


def test_where_is_learned_from_boxes_and_answered(name: str, build: Build, posts: list[Sentence]) -> None:
    dropouts = {field: 0.0 for field in model_class(name).config_class.model_fields if "dropout" in field}
    tagger = build(name, **dropouts)
    if not tagger.config.reads_images:
        assert tagger.grounding is None
        return
    learn(tagger, posts, steps=100)
    tagger.predict(posts, label_name="found", return_relevance=True)
    for post in posts:
        for label in post.get_labels("found"):
            gold = next((span.get_label("ner") for span in post.get_spans("ner") if span == label.data_point), None)
            if gold is None or not post.has_metadata("image"):
                assert post.has_metadata("image") or not label.metadata
                continue
            if "regions" in gold.metadata:
                assert ("region" in label.metadata) == bool(gold.metadata["regions"])
                assert (label.metadata["grounded"] > 0.5) == bool(gold.metadata["regions"])
            assert label.metadata["relevance"].shape == (2, 2)


def test_without_boxes_it_can_learn_from_other_posts_images(name: str, build: Build, posts: list[Sentence]) -> None:
    if not build(name).config.reads_images:
        return
    known = learn(build(name, contrast_weight=1.0), posts, steps=1)[0]
    for post in posts:
        for span in post.get_spans("ner"):
            span.get_label("ner").metadata.clear()
    dropouts = {field: 0.0 for field in model_class(name).config_class.model_fields if "dropout" in field}
    tagger = build(name, contrast_weight=1.0, **dropouts)
    terms = learn(tagger, posts, steps=20)
    assert not {"regions", "presence"} & terms[0].keys()
    assert terms[-1]["contrast"] < terms[0]["contrast"]
    assert known["contrast"] < terms[0]["contrast"]  # posts with gold regions learn from these alone
    tagger.predict(posts, label_name="found")
    for post in posts:
        for label in post.get_labels("found"):
            assert ("grounded" in label.metadata) == post.has_metadata("image")
    tagger.train()
    tagger.model_card = {"training_parameters": {"mini_batch_size": 4, "mini_batch_chunk_size": 2}}
    with pytest.raises(ConfigurationError, match=r"chunk_size=2: \w+ with contrast_weight=1 compares .* all 4"):
        tagger.forward_loss(posts)


def test_without_boxes_nothing_is_computed_or_kept_for_them(name: str, build: Build, posts: list[Sentence]) -> None:
    """Not even a random number is drawn: loss, gradients and what a backward pass needs are as without the head."""
    for post in posts:
        for span in post.get_spans("ner"):
            span.get_label("ner").metadata.clear()
    found = []
    for kept in (True, False):
        torch.manual_seed(7)
        tagger = build(name)
        if not kept:
            tagger.grounding = None
        tagger.train()
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):  # noqa: B023
            loss, _ = tagger.forward_loss(posts)
        loss.backward()
        gradients = {key: weight.grad for key, weight in tagger.named_parameters() if weight.grad is not None}
        found.append((float(loss.detach()), sizes, gradients))
    (loss, sizes, gradients), (other_loss, other_sizes, other_gradients) = found
    assert (loss, sizes, gradients.keys()) == (other_loss, other_sizes, other_gradients.keys())
    assert all(torch.equal(gradient, other_gradients[key]) for key, gradient in gradients.items())


def test_a_resumed_run_ends_as_a_whole_one(name: str, build: Build, corpus: Corpus[Sentence], tmp_path: Path) -> None:
    start = build(name)
    weights = {key: value.clone() for key, value in start.state_dict().items()}
    ends = []
    for run, armed in (("whole", False), ("killed", True), ("killed", False)):
        torch.manual_seed(4)
        tagger = build(name)
        tagger.load_state_dict(weights)
        trainer = ResumableTrainer(tagger, corpus)
        arguments: dict[str, Any] = {"learning_rate": 1e-3, "mini_batch_size": 4, "max_epochs": 3}
        arguments["plugins"] = [Kill(armed=armed)]
        try:
            trainer.fine_tune(tmp_path / run, use_final_model_for_eval=False, save_final_model=False, **arguments)
        except Killed:
            continue
        ends.append(torch.cat([value.detach().flatten() for value in trainer.model.state_dict().values()]))
    whole, resumed = ends
    assert torch.equal(whole, resumed)
    assert not torch.equal(whole, torch.cat([value.flatten() for value in weights.values()]))


def test_odd_posts(name: str, trained: MultimodalTagger) -> None:
    odd = [Sentence("       "), Sentence(["\u200b"]), Sentence(["mary"] * 60), Sentence(["oakland"])]
    odd[3].add_metadata("image", b"no image")
    odd[3].add_metadata("caption", "")
    for row in found(trained, odd):
        assert all(0.0 <= score.expected <= 1.0 for _, _, score, _ in row)


def test_unknown_and_wrong_hyperparameters_are_named(name: str, build: Build) -> None:
    with pytest.raises(ConfigurationError, match="no_such_thing: no such argument"):
        build(name, no_such_thing=1)
    if "hidden_size" in model_class(name).config_class.model_fields:
        with pytest.raises(ConfigurationError, match="hidden_size=-1"):
            build(name, hidden_size=-1)


def test_a_model_that_reads_images_says_so_where_there_are_none(name: str, build: Build) -> None:
    config = build(name).config
    try:
        config.without_images()
    except ValueError:
        with pytest.raises(ConfigurationError, match="region_embeddings"):
            build(name, region_embeddings=None)
        return
    tagger = build(name, region_embeddings=None)
    assert tagger.region_embeddings is None
    assert not tagger.config.reads_images
