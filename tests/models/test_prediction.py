"""How `predict` computes changes nothing of what it finds: batches, budgets, precision, and where vectors come from."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger
from flair_espvr.models import inference as modes

Build = Callable[..., ESPVRTagger]


def found(posts: list[Sentence], layer: str) -> list[list[tuple[str, str, float]]]:
    return [
        [(span.text, span.tag, pytest.approx(span.score, abs=1e-5)) for span in post.get_spans(layer)] for post in posts
    ]


@contextmanager
def inputs(tagger: ESPVRTagger) -> Iterator[list[torch.Tensor]]:
    """The wordpieces of every batch that the encoder sees."""
    seen: list[torch.Tensor] = []
    hook = tagger.embeddings.model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        hook.remove()


@pytest.mark.parametrize("budget", [1, 30, 64, 10_000])
def test_a_budget_of_wordpieces_is_kept_and_finds_the_same(build: Build, posts: list[Sentence], budget: int) -> None:
    tagger = build()
    tagger.predict(posts, mini_batch_size=3, label_name="fixed")
    with inputs(tagger) as seen:
        tagger.predict(posts, max_tokens=budget, label_name="budget")
    assert all(len(batch) == 1 or batch.numel() <= budget for batch in seen)
    assert sum(len(batch) for batch in seen) == len(posts)
    assert found(posts, "fixed") == found(posts, "budget")


@pytest.mark.parametrize("use_caption", [True, False])
def test_a_post_of_thousands_of_words_takes_none_into_its_batch(
    build: Build, posts: list[Sentence], tiny_bert: Path, use_caption: bool
) -> None:
    """The encoder cuts it, so that its wordpieces alone would not show how long it is."""
    tagger = build(embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), use_caption=use_caption))
    with inputs(tagger) as seen:
        tagger.predict([*posts[:2], Sentence(["hi"] * 2_000)], mini_batch_size=3)
    assert [len(batch) for batch in seen] == [1, 2]


def test_encoder_and_fusion_may_be_compiled_in_place(build: Build, posts: list[Sentence], tmp_path: Path) -> None:
    """By torch's own method; here with a compiler that needs no C++."""
    tagger = build()
    tagger.predict(posts, mini_batch_size=3, label_name="plain")
    for part in (tagger.embeddings.model, tagger.network.fusion):
        part.compile(backend="eager", dynamic=True)
    tagger.predict(posts, mini_batch_size=3, label_name="compiled")
    assert found(posts, "compiled") == found(posts, "plain")
    tagger.save(tmp_path / "model.pt")
    ESPVRTagger.load(tmp_path / "model.pt").predict(posts, mini_batch_size=3, label_name="loaded")
    assert found(posts, "loaded") == found(posts, "plain")


@pytest.mark.parametrize("max_tokens", [None, 40])
def test_the_next_batch_is_announced_before_one_is_computed(
    build: Build, posts: list[Sentence], monkeypatch: pytest.MonkeyPatch, max_tokens: int | None
) -> None:
    tagger = build()
    events: list[tuple[str, list[Sentence]]] = []
    predict_batch = tagger.predict_batch
    monkeypatch.setattr(tagger, "prefetch", lambda batch: events.append(("announced", batch)))
    monkeypatch.setattr(
        tagger,
        "predict_batch",
        lambda batch, **options: events.append(("computed", batch)) or predict_batch(batch, **options),
    )
    tagger.predict(posts, mini_batch_size=3, max_tokens=max_tokens)
    batches = [batch for event, batch in events if event == "computed"]
    assert len(batches) > 2
    expected = [
        event
        for one, following in itertools.pairwise(batches)
        for event in (("announced", following), ("computed", one))
    ]
    assert events == [*expected, ("computed", batches[-1])]


def test_results_are_in_the_callers_order(build: Build, posts: list[Sentence]) -> None:
    tagger = build()
    for post in posts:
        tagger.predict(post, label_name="alone")
    tagger.predict(posts, mini_batch_size=3, label_name="together")
    assert found(posts, "alone") == found(posts, "together")


def test_batches_are_of_like_wordpiece_counts(build: Build) -> None:
    """Few long words are more wordpieces than many short ones: here each letter is one."""
    tagger = build(regions="none")
    posts = [Sentence(["a"] * 4), Sentence(["abcdefghijklmnop"]), Sentence(["b"] * 5), Sentence(["ponmlkjihgfedcba"])]
    with inputs(tagger) as seen:
        tagger.predict(posts, mini_batch_size=2)
    assert [batch.shape[1] for batch in seen] == [18, 7]


@pytest.mark.parametrize("fine_tune", [True, False])
def test_the_batched_and_the_ordinary_path_find_the_same(
    build: Build, posts: list[Sentence], tiny_bert: Path, fine_tune: bool
) -> None:
    tagger = build(embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), fine_tune=fine_tune))
    tagger.predict(posts, mini_batch_size=3, label_name="batched")
    assert not any(token.embedding.numel() for post in posts for token in post)
    tagger.predict(posts, mini_batch_size=3, label_name="ordinary", embedding_storage_mode="cpu")
    assert found(posts, "batched") == found(posts, "ordinary")


@pytest.mark.parametrize("storage", ["none", "cpu"])
def test_training_goes_on_after_a_prediction(
    build: Build, posts: list[Sentence], tiny_bert: Path, storage: str
) -> None:
    tagger = build(embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), fine_tune=False))
    tagger.predict(posts, embedding_storage_mode=storage)
    tagger.train()
    loss, _ = tagger.forward_loss(posts)
    loss.backward()
    assert tagger.network.tag_emissions.weight.grad.abs().sum() > 0


@contextmanager
def encoder_dtypes(tagger: ESPVRTagger) -> Iterator[set[torch.dtype]]:
    seen: set[torch.dtype] = set()
    layer = tagger.embeddings.model.encoder.layer[0].output.dense
    hook = layer.register_forward_hook(lambda module, args, output: seen.add(output.dtype))
    try:
        yield seen
    finally:
        hook.remove()


@pytest.mark.parametrize("storage", ["none", "cpu"])
@pytest.mark.parametrize("regions", ["positioned", "all", "none"])
def test_mixed_precision(
    build: Build, posts: list[Sentence], monkeypatch: pytest.MonkeyPatch, regions: str, storage: str
) -> None:
    monkeypatch.setattr(modes, "_cpu_has_bfloat16", lambda: True)
    tagger = build(regions=regions)
    tagger.predict(posts, label_name="full", return_probabilities_for_all_classes=True)
    with encoder_dtypes(tagger) as seen:
        tagger.predict(
            posts,
            label_name="mixed",
            return_probabilities_for_all_classes=True,
            embedding_storage_mode=storage,
            amp=True,
        )
    assert seen == {torch.bfloat16 if storage == "none" else torch.float32}
    for post in posts:
        for token in post:
            full, mixed = ([label.score for label in token.get_tags_proba_dist(layer)] for layer in ("full", "mixed"))
            assert mixed == pytest.approx(full, abs=0.05)


@pytest.mark.parametrize("positional", [True, False])
def test_an_evaluation_sorts_and_is_flairs_own(
    build: Build, posts: list[Sentence], tmp_path: Path, positional: bool
) -> None:
    tagger = build()
    theirs = Classifier.evaluate(tagger, posts, "ner", out_path=tmp_path / "theirs.tsv", mini_batch_size=3)
    with inputs(tagger) as seen:
        if positional:
            ours = tagger.evaluate(posts, "ner", tmp_path / "ours.tsv", "none", 3)
        else:
            ours = tagger.evaluate(posts, gold_label_type="ner", out_path=tmp_path / "ours.tsv", mini_batch_size=3)
    assert [len(batch) for batch in seen] == [3, 3, 2]
    assert [batch.shape[1] for batch in seen] == sorted((batch.shape[1] for batch in seen), reverse=True)
    assert (tmp_path / "ours.tsv").read_text() == (tmp_path / "theirs.tsv").read_text()
    assert ours.scores == pytest.approx(theirs.scores, rel=1e-4)
    assert ours.classification_report == theirs.classification_report
    with inputs(tagger) as seen:
        tagger.predict(posts, mini_batch_size=5)
    assert len(seen) == 2


def test_evaluation_in_mixed_precision(build: Build, posts: list[Sentence], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "_cpu_has_bfloat16", lambda: True)
    tagger = build()
    with encoder_dtypes(tagger) as seen:
        mixed = tagger.evaluate(posts, "ner", mini_batch_size=4, amp=True)
    assert seen == {torch.bfloat16}
    assert mixed.loss == pytest.approx(tagger.evaluate(posts, "ner", mini_batch_size=4).loss, rel=0.05)


def test_mixed_precision_changes_nothing_on_a_cpu_without_it(
    build: Build, posts: list[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False}, raising=False)
    tagger = build()
    with encoder_dtypes(tagger) as seen:
        tagger.predict(posts, amp=True)
    assert seen == {torch.float32}


def test_modes_of_modules_survive_a_prediction(build: Build, posts: list[Sentence]) -> None:
    tagger = build(dropout=0.5)
    for mode in (True, False):
        tagger.train(mode)
        tagger.predict(posts)
        assert {module.training for module in tagger.modules()} == {mode}


def test_a_batch_without_pictures_needs_neither_span_crf_nor_regions(
    build: Build, posts: list[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = build()
    tagger.predict(posts, mini_batch_size=len(posts), label_name="mixed")
    bare = [post for post in posts if not post.has_metadata("image")]
    monkeypatch.setattr(tagger.network, "predict_spans", None)
    monkeypatch.setattr(tagger.network.region_projection, "forward", None)
    tagger.predict(bare, label_name="bare")
    assert bare
    assert found(bare, "bare") == found(bare, "mixed")


def test_only_positioning_decodes_the_span_crf(
    build: Build, posts: list[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = build(regions="all")
    monkeypatch.setattr(tagger.network.span_crf, "decode", None)
    tagger.predict(posts)
    teacher = build(positioning_spans="gold")
    monkeypatch.setattr(teacher.network.span_crf, "decode", None)
    teacher.train()
    teacher.forward_loss(posts)
