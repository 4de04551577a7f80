"""What ESPVR promises beyond Flair's contract: pictures that count, or do not, exactly where the paper says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Corpus, Dictionary, Sentence
from flair.embeddings import CharacterEmbeddings, HashEmbeddings, StackedEmbeddings, TransformerWordEmbeddings
from flair.optim import LinearSchedulerWithWarmup  # noqa: F401  # Flair registers its schedulers on import
from flair.trainers import ModelTrainer

from flair_espvr import ESPVRTagger, Region
from flair_espvr.errors import ConfigurationError
from flair_espvr.nn.layers.spans import Spans

Build = Callable[..., ESPVRTagger]


def emissions(tagger: ESPVRTagger, sentence: Sentence, others: list[Sentence] | None = None) -> torch.Tensor:
    """The tag scores of the first of a batch, in evaluation mode."""
    tagger.eval()
    with torch.no_grad():
        output, _ = tagger([sentence, *(others or [])])
    return output.emissions[0, : len(sentence)]


def without_picture(sentence: Sentence) -> Sentence:
    bare = Sentence([token.text for token in sentence])
    if sentence.has_metadata("caption"):
        bare.add_metadata("caption", sentence.get_metadata("caption"))
    return bare


def predict_spans(tagger: ESPVRTagger, found: bool) -> None:
    """Makes the span CRF see an entity in every word, or in none."""
    with torch.no_grad():
        tagger.network.span_emissions.weight.zero_()
        tagger.network.span_emissions.bias.copy_(torch.tensor([0.0, 50.0, 0.0]) * (1 if found else -1))


@pytest.mark.parametrize("regions", ["positioned", "all", "none"])
@pytest.mark.parametrize("others", [0, 3, 7])
def test_a_post_does_not_depend_on_its_batch(build: Build, posts: list[Sentence], regions: str, others: int) -> None:
    tagger = build(regions=regions)
    for index, post in enumerate(posts):
        alone = emissions(tagger, post)
        batched = emissions(tagger, post, (posts[index + 1 :] + posts[:index])[:others])
        torch.testing.assert_close(batched, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_labels_scores_and_regions_do_not_depend_on_the_batch_size(
    build: Build, posts: list[Sentence], batch_size: int
) -> None:
    tagger = build()
    tagger.predict(posts, mini_batch_size=2, label_name="two")
    tagger.predict(posts, mini_batch_size=batch_size, label_name="other")
    for post in posts:
        for one, other in zip(post.get_labels("two"), post.get_labels("other"), strict=True):
            assert (one.data_point, one.value) == (other.data_point, other.value)
            assert one.score == pytest.approx(other.score, abs=1e-5)
            assert one.metadata.keys() == other.metadata.keys()


def test_a_picture_changes_the_scores_of_a_post_with_entities(build: Build, posts: list[Sentence]) -> None:
    tagger = build()
    predict_spans(tagger, True)
    assert not torch.allclose(emissions(tagger, posts[0]), emissions(tagger, without_picture(posts[0])), atol=1e-3)


def test_a_picture_without_entities_changes_nothing(build: Build, posts: list[Sentence]) -> None:
    """Paper 4.5: text without an entity "should not provide local visual information"."""
    tagger = build()
    predict_spans(tagger, False)
    for post in posts:
        bare = without_picture(post)
        torch.testing.assert_close(emissions(tagger, post), emissions(tagger, bare), atol=1e-6, rtol=0)
        torch.testing.assert_close(emissions(tagger, post, posts), emissions(tagger, bare), atol=1e-5, rtol=0)


def test_hard_and_straight_through_predict_alike(build: Build, posts: list[Sentence]) -> None:
    straight, hard = build(positioning="straight_through", dropout=0.0), build(positioning="hard", dropout=0.0)
    hard.load_state_dict(straight.state_dict())
    for tagger in (straight, hard):
        predict_spans(tagger, True)
        tagger.train()
        tagger.embeddings.eval()  # the encoder's dropout is not the question
    assert torch.equal(straight(posts)[0].emissions, hard(posts)[0].emissions)


@pytest.mark.parametrize(("positioning", "moved"), [("straight_through", True), ("hard", False)])
def test_only_straight_through_gives_the_position_a_gradient(
    build: Build, posts: list[Sentence], positioning: str, moved: bool
) -> None:
    """The position depends on T only through the scores: cut every other way from the loss to a picture's scores."""
    tagger = build(positioning=positioning).train()
    predict_spans(tagger, True)
    output, _ = tagger(posts)
    assert output.positions is not None
    output.positions.scores.retain_grad()
    output.emissions.sum().backward()
    gradient = output.positions.scores.grad
    assert (gradient is not None and bool(gradient.any())) is moved


def test_every_parameter_learns(build: Build, posts: list[Sentence]) -> None:
    tagger = build(dropout=0.0).train()
    predict_spans(tagger, True)
    tagger.forward_loss(posts)[0].backward()
    unmoved = [
        name
        for name, parameter in tagger.network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert not unmoved


def test_the_picture_backbone_is_neither_trained_nor_saved(build: Build) -> None:
    tagger = build()
    assert not any("region_embeddings" in name for name, _ in tagger.named_parameters())
    assert not any("region_embeddings" in name for name in tagger.state_dict())


def test_regions_are_metadata_of_pictured_entities_only(build: Build, posts: list[Sentence], tmp_path: Path) -> None:
    tagger = build(dropout=0.0)
    ModelTrainer(
        tagger,
        Corpus(train=posts, name="by heart"),
    ).train(
        tmp_path,
        learning_rate=0.1,
        mini_batch_size=4,
        max_epochs=30,
        train_with_dev=True,
        save_final_model=False,
        create_file_logs=False,
        create_loss_file=False,
        monitor_train_sample=0.0,
    )
    tagger.predict(posts, label_name="predicted")
    labels = [(post, label) for post in posts for label in post.get_labels("predicted")]
    assert len(labels) > 4
    for post, label in labels:
        assert 0.0 <= label.score <= 1.0
        if not post.has_metadata("image"):
            assert "region" not in label.metadata
            continue
        region = label.metadata["region"]
        assert isinstance(region, Region)
        assert all(type(edge) is float for edge in (region.left, region.top, region.right, region.bottom, region.score))
        assert (region.right - region.left, region.bottom - region.top) == (0.5, 0.5)  # one of 2 x 2 regions
        assert 0.25 <= region.score <= 1.0  # the best of four


def test_gold_spans_position_in_training_only(
    build: Build, posts: list[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = build(positioning_spans="gold")
    given: list[Spans | None] = []
    forward = tagger.network.forward

    def spy(*, spans: Spans | None = None, **inputs: Any) -> Any:
        given.append(spans)
        return forward(spans=spans, **inputs)

    monkeypatch.setattr(tagger.network, "forward", spy)
    tagger.train()
    tagger.forward_loss(posts)
    tagger.eval()
    tagger.forward_loss(posts)
    tagger.predict(posts, return_loss=True, label_name="predicted")
    assert given[0] is not None
    assert given[0].mask.sum(dim=1).tolist() == [len(post.get_labels("ner")) for post in posts]
    assert all(spans is None for spans in given[1:])


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_posts_whose_labels_say_where_are_taught_in_training(
    build: Build, posts: list[Sentence], monkeypatch: pytest.MonkeyPatch, weight: float
) -> None:
    """Unless their boxes count nothing; where no label of a batch says where, none is."""
    tagger = build(position_loss_weight=weight)
    given: list[Any] = []
    forward = tagger.network.forward

    def spy(*, taught: torch.Tensor | None = None, **inputs: Any) -> Any:
        given.append(taught)
        return forward(taught=taught, **inputs)

    monkeypatch.setattr(tagger.network, "forward", spy)
    saying = [posts[0], posts[2]]
    for post in saying:
        post.get_spans("ner")[0].get_label("ner").metadata["regions"] = (Region(0.0, 0.0, 0.5, 0.5),)
    tagger.train()
    tagger.forward_loss(posts)
    tagger.forward_loss([post for post in posts if post not in saying])
    tagger.eval()
    tagger.forward_loss(posts)
    assert given[1:] == [None, None]
    assert (given[0] is not None) == bool(weight)
    if weight:
        assert given[0].tolist() == [post in saying for post in posts]


def test_position_regions(build: Build, posts: list[Sentence]) -> None:
    tagger = build(window=1)
    predict_spans(tagger, True)
    positions = tagger.position_regions(posts)
    assert positions is not None
    pictured = [post.has_metadata("image") for post in posts]
    assert (positions.center >= 0).tolist() == pictured
    assert positions.mask.sum(dim=1).tolist() == [int(has) for has in pictured]
    assert build(regions="all").position_regions(posts) is None


@pytest.mark.parametrize("training", [True, False])
def test_each_entity_can_have_a_window_of_its_own(build: Build, posts: list[Sentence], training: bool) -> None:
    """What fusion reads of a post is all that its entities' own windows hold."""
    tagger = build(window=1, window_of="entity").train(training)
    predict_spans(tagger, True)
    read: list[torch.Tensor] = []
    tagger.network.fusion.register_forward_pre_hook(lambda _, arguments: read.append(arguments[3]))
    output, _ = tagger(posts)
    assert output.positions is not None
    centers = output.positions.center.view(len(posts), -1).tolist()
    found = [[center for center in post if center >= 0] for post in centers]
    assert list(map(len, found)) == [len(post) if post.has_metadata("image") else 0 for post in posts]
    assert read[0].sum(dim=1).tolist() == [len(set(post)) for post in found]


def test_with_one_entity_a_window_of_its_own_is_the_sentences(build: Build, posts: list[Sentence]) -> None:
    one = Sentence(["mary"])
    one.add_metadata("image", posts[0].get_metadata("image"))
    own, shared = (build(window=1, window_of=of).eval() for of in ("entity", "sentence"))
    own.load_state_dict(shared.state_dict())
    predict_spans(own, True)
    predict_spans(shared, True)
    with torch.no_grad():
        assert torch.equal(own([one])[0].emissions, shared([one])[0].emissions)
    predict_spans(own, False)  # nothing is found: fusion reads nothing
    with torch.no_grad():
        assert own([one, posts[0]])[0].emissions.isfinite().all()


def test_works_with_any_of_flairs_word_embeddings(
    build: Build, posts: list[Sentence], tiny_bert: Path, tmp_path: Path
) -> None:
    letters = Dictionary()
    for letter in "aeiknory":
        letters.add_item(letter)
    stacked = StackedEmbeddings(
        [HashEmbeddings(50, 8), CharacterEmbeddings(letters), TransformerWordEmbeddings(str(tiny_bert))]
    )
    tagger = build(embeddings=stacked)
    loss, words = tagger.forward_loss(posts)
    assert words == sum(map(len, posts))
    loss.backward()
    for post in posts:
        post.clear_embeddings()  # as Flair's trainer does after each step
    tagger.predict(posts, label_name="before")
    tagger.save(tmp_path / "model.pt")
    ESPVRTagger.load(tmp_path / "model.pt").predict(posts, label_name="after")
    for post in posts:
        assert [str(label) for label in post.get_labels("before")] == [str(label) for label in post.get_labels("after")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"regions": "some"}, "positioned"),
        ({"positioning": "soft"}, "straight_through"),
        ({"positioning_spans": "true"}, "predicted"),
        ({"tag_format": "BIOES"}, "BIO"),
        ({"window": 0}, "window"),
        ({"hidden_size": 10, "num_heads": 4}, "multiple"),
    ],
)
def test_wrong_arguments_say_what_is_right(build: Build, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build(**arguments)
