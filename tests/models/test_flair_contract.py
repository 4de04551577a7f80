"""Flair's contract for a model, with Flair's own `SequenceTagger` run through the same tests beside ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flair
import pytest
import torch
from flair.data import Corpus, Dictionary, MultiCorpus, Sentence
from flair.embeddings import TransformerDocumentEmbeddings, TransformerWordEmbeddings
from flair.models import MultitaskModel, SequenceTagger, TextClassifier
from flair.nn import Classifier
from flair.trainers import ModelTrainer

from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, MultimodalTagger, list_models
from flair_espvr.errors import ConfigurationError

Model = Classifier[Sentence]
BuildModel = Callable[[], Model]


@pytest.fixture(params=[*list_models(), "text alone", "SequenceTagger"])
def build_model(
    request: pytest.FixtureRequest, build: Callable[..., ESPVRTagger], tiny_bert: Path, corpus: Corpus[Sentence]
) -> BuildModel:
    if request.param == "SequenceTagger":
        return lambda: SequenceTagger(
            embeddings=TransformerWordEmbeddings(str(tiny_bert), allow_long_sentences=False),
            tag_dictionary=corpus.make_label_dictionary("ner"),
            tag_type="ner",
            hidden_size=16,
        )
    if request.param == "text alone":
        return lambda: build(regions="none")
    return lambda: build(request.param)


def labels(sentences: list[Sentence], name: str) -> list[list[tuple[str, str, float]]]:
    return [
        [(label.unlabeled_identifier, label.value, round(label.score, 4)) for label in sentence.get_labels(name)]
        for sentence in sentences
    ]


def train(model: Model, corpus: Corpus[Sentence], folder: Path, **arguments: Any) -> dict[str, Any]:
    settings = {"learning_rate": 1e-3, "mini_batch_size": 4, "max_epochs": 1, "save_final_model": True, **arguments}
    return ModelTrainer(model, corpus).fine_tune(folder, **settings)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"mini_batch_chunk_size": 2},
        {"use_amp": True},
        {"embeddings_storage_mode": "cpu"},
        {"embeddings_storage_mode": "gpu"},
        {"decoder_learning_rate": 0.01},
        {"reduce_transformer_vocab": True},
        {"use_final_model_for_eval": False},
    ],
    ids=str,
)
def test_trains_saves_loads_and_predicts_the_same(
    build_model: BuildModel, corpus: Corpus[Sentence], tmp_path: Path, arguments: dict[str, Any]
) -> None:
    model = build_model()
    if "mini_batch_chunk_size" in arguments and isinstance(model, MultimodalTagger) and model.network.compares_posts:
        with pytest.raises(ConfigurationError, match=r"mini_batch_chunk_size=2: .* has to see all 4 at once"):
            train(model, corpus, tmp_path, **arguments)
        return
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = train(model, corpus, tmp_path, **arguments)
    assert 0.0 <= result["test_score"] <= 1.0
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert any("embeddings" in name for name in changed)
    assert any("embeddings" not in name for name in changed)

    best = tmp_path / "best-model.pt"  # Flair writes none while the dev score is 0
    file = best if best.exists() else tmp_path / "final-model.pt"
    posts = list(corpus.get_all_sentences())
    loaded = type(model).load(file)
    if "reduce_transformer_vocab" in arguments:  # the file has the whole vocabulary again
        model = loaded
    model.eval()
    model.predict(posts, label_name="trained")
    loaded.predict(posts, label_name="loaded")
    assert labels(posts, "trained") == labels(posts, "loaded")
    assert not loaded.training
    by_flair = Classifier.load(file)
    assert type(by_flair) is type(model)
    by_flair.predict(posts, label_name="by Flair")
    assert labels(posts, "by Flair") == labels(posts, "loaded")


def test_chunks_give_the_gradient_of_the_whole_batch(build_model: BuildModel, posts: list[Sentence]) -> None:
    """Flair divides the summed loss by the count: a mean would weigh chunks wrongly."""
    model = build_model().eval()  # no dropout
    whole, count = model.forward_loss(posts)
    parts = [model.forward_loss(posts[start : start + 2]) for start in range(0, len(posts), 2)]
    torch.testing.assert_close(sum(loss for loss, _ in parts), whole, rtol=1e-4, atol=1e-4)
    assert sum(number for _, number in parts) == count


def test_empty_sentences(build_model: BuildModel, corpus: Corpus[Sentence]) -> None:
    model = build_model()
    empty, full = Sentence("       "), Sentence("kevin is in oakland")
    model.predict(empty)
    model.predict([empty])
    model.predict([empty, full, Sentence("")], mini_batch_size=1)
    model.predict([])
    assert len(empty.get_labels("ner")) == 0
    assert model.forward_loss([])[1] == 0


def test_neighbours_are_set_as_context(build_model: BuildModel) -> None:
    sentences = [Sentence(text) for text in ("this is a first one", "short", "a somewhat longer third sentence")]
    build_model().predict(sentences, mini_batch_size=1)
    assert [sentence._previous_sentence for sentence in sentences] == [None, *sentences[:-1]]
    assert [sentence._next_sentence for sentence in sentences] == [*sentences[1:], None]
    assert all(sentence.is_context_set() for sentence in sentences)


def test_gold_labels_stay_and_old_predictions_go(build_model: BuildModel, posts: list[Sentence]) -> None:
    model = build_model()
    gold = labels(posts, "ner")
    for post in posts:
        post[0:1].add_label("predicted", "OLD")
        post.add_label("topic", "sport")
    model.predict(posts, label_name="predicted")
    assert labels(posts, "ner") == gold
    assert not any(value == "OLD" for row in labels(posts, "predicted") for _, value, _ in row)
    assert all(post.get_label("topic").value == "sport" for post in posts)


def test_the_loss_beside_predictions_is_the_loss(build_model: BuildModel, posts: list[Sentence]) -> None:
    model = build_model().eval()
    expected, count = model.forward_loss(posts)
    loss, words = model.predict(posts, return_loss=True, label_name="predicted", mini_batch_size=3)
    assert words == count
    torch.testing.assert_close(loss.squeeze(), expected.detach().squeeze(), rtol=1e-4, atol=1e-4)


def test_all_probabilities(build_model: BuildModel, posts: list[Sentence]) -> None:
    model = build_model()
    model.predict(posts, return_probabilities_for_all_classes=True, label_name="predicted")
    for token in posts[0]:
        distribution = token.get_tags_proba_dist("predicted")
        assert sum(label.score for label in distribution) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("mode", ["none", "cpu", "gpu"])
def test_storage_mode_decides_whether_vectors_stay(build_model: BuildModel, posts: list[Sentence], mode: str) -> None:
    model = build_model()
    model.predict(posts, embedding_storage_mode=mode, label_name="predicted")
    stored = [bool(token._embeddings) for post in posts for token in post]
    assert all(stored) if mode != "none" else not any(stored)


def test_evaluates_with_unknown_and_missing_gold_labels(build_model: BuildModel, posts: list[Sentence]) -> None:
    model = build_model()
    if isinstance(model, SequenceTagger):
        pytest.skip("Flair 0.15.1's own tagger ends in an IndexError here")
    posts[3][0:1].add_label("ner", "NEVER SEEN")
    result = model.evaluate(posts, gold_label_type="ner")
    assert "NEVER SEEN" in result.classification_report
    assert 0.0 <= model.evaluate([Sentence("nothing here")], gold_label_type="ner").main_score <= 1.0


def test_datasets_are_predicted_too(build_model: BuildModel, corpus: Corpus[Sentence]) -> None:
    model = build_model().eval()
    model.predict(corpus.test, label_name="dataset")
    posts = list(corpus.test)
    model.predict(posts, label_name="list")
    assert labels(posts, "dataset") == labels(posts, "list")


def test_used_tokens_hold_words_captions_and_context(
    build: Callable[..., ESPVRTagger], corpus: Corpus[Sentence], tiny_bert: Path
) -> None:
    used = {word for words in build().get_used_tokens(corpus, context_length=2) for word in words}
    assert {"oakland", "street", "woman", "a"} <= used
    ablated = build(embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), use_caption=False))
    assert "woman" not in {word for words in ablated.get_used_tokens(corpus) for word in words}


@pytest.mark.parametrize("mode", ["none", "gpu"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=str)
def test_lives_beside_other_models_on_the_same_sentence(
    build: Callable[..., ESPVRTagger], posts: list[Sentence], tiny_bert: Path, order: tuple[int, ...], mode: str
) -> None:
    """A tagger over the same encoder folder and a classifier, before and after ours: nobody's labels change."""
    topics, parts = Dictionary(add_unk=False), Dictionary(add_unk=False)
    topics.add_item("sport")
    topics.add_item("travel")
    parts.add_item("NOUN")
    parts.add_item("VERB")
    topic = TextClassifier(TransformerDocumentEmbeddings(str(tiny_bert)), label_type="topic", label_dictionary=topics)
    part = SequenceTagger(
        TransformerWordEmbeddings(str(tiny_bert), allow_long_sentences=False),
        parts,
        "pos",
        use_crf=False,
        use_rnn=False,
    )
    models: list[tuple[Model, str]] = [(build(), "espvr"), (topic, "topic"), (part, "pos")]
    expected = {}
    for model, name in models:
        model.eval()
        fresh = [copy_of(post) for post in posts]
        model.predict(fresh, label_name=name)
        expected[name] = labels(fresh, name)
    for index in order:
        model, name = models[index]
        model.predict(posts, label_name=name, embedding_storage_mode=mode)
    for _, name in models:
        assert labels(posts, name) == expected[name]


def copy_of(post: Sentence) -> Sentence:
    copy = Sentence([token.text for token in post])
    for key in ("image", "caption"):
        if post.has_metadata(key):
            copy.add_metadata(key, post.get_metadata(key))
    return copy


def test_flair_device_alone_decides_where_tensors_live(
    build: Callable[..., ESPVRTagger], posts: list[Sentence]
) -> None:
    assert {parameter.device.type for parameter in build().parameters()} == {flair.device.type}


def test_inside_flairs_multitask_model(
    build_model: BuildModel, corpus: Corpus[Sentence], tiny_bert: Path, tmp_path: Path
) -> None:
    """Flair's containers ask their models for their state and write it themselves."""
    other = SequenceTagger(
        embeddings=TransformerWordEmbeddings(str(tiny_bert), allow_long_sentences=False),
        tag_dictionary=corpus.make_label_dictionary("ner"),
        tag_type="ner",
        hidden_size=16,
    )
    model = MultitaskModel([build_model(), other], task_ids=["ours", "theirs"])
    data = MultiCorpus([corpus, corpus], task_ids=["ours", "theirs"])
    ModelTrainer(model, data).fine_tune(tmp_path, learning_rate=1e-3, mini_batch_size=4, max_epochs=1)
    posts = list(corpus.get_all_sentences())
    loaded = Classifier.load(tmp_path / "final-model.pt")
    assert isinstance(loaded, MultitaskModel)
    model.eval()
    for tagger, name in ((model, "trained"), (loaded, "loaded")):
        tagger.tasks["ours"].predict(posts, label_name=name)
    assert labels(posts, "loaded") == labels(posts, "trained")
