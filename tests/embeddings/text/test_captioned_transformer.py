"""Word vectors with captions, against Hugging Face's own encoding of a pair."""

from pathlib import Path

import flair
import pytest
import torch
from flair.data import Sentence
from flair.embeddings import TransformerWordEmbeddings
from flair.embeddings.base import load_embeddings
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from flair_espvr import CaptionedTransformerEmbeddings, PictureObject
from flair_espvr.embeddings.text import captioned_transformer
from flair_espvr.embeddings.text.wordpieces import pool_wordpieces
from flair_espvr.errors import ConfigurationError

TEXT = ["kevin", "in", "la"]
CAPTION = "a man"
FAMILIES = ["tiny_bert", "tiny_roberta", "tiny_mpnet"]


def sentence_with(words: list[str], caption: str | None = None) -> Sentence:
    sentence = Sentence(words)
    if caption is not None:
        sentence.add_metadata("caption", caption)
    return sentence


@pytest.fixture(params=FAMILIES)
def encoder(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


def hugging_face(folder: Path, words: list[str], caption: str | None) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Hugging Face's own input and first-wordpiece vectors of a post."""
    tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    pair = () if caption is None else (caption.split(),)
    inputs = tokenizer(words, *pair, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0]
    own = [(word, part) for word, part in zip(inputs.word_ids(), inputs.sequence_ids(), strict=True)]
    return dict(inputs), torch.stack([states[own.index((word, 0))] for word in range(len(words))])


@pytest.mark.parametrize("caption", [CAPTION, None], ids=["pair", "single"])
def test_equals_hugging_face(encoder: Path, caption: str | None) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(encoder))
    inputs, vectors = hugging_face(encoder, TEXT, caption)
    tensors = embeddings.prepare_tensors([sentence_with(TEXT, caption)])
    assert tensors["input_ids"].tolist() == inputs["input_ids"].tolist()
    assert tensors["attention_mask"].tolist() == inputs["attention_mask"].tolist()
    assert ("token_type_ids" in tensors) == ("token_type_ids" in inputs)
    if "token_type_ids" in inputs:
        assert tensors["token_type_ids"].tolist() == inputs["token_type_ids"].tolist()
    torch.testing.assert_close(embeddings.embed_batch([sentence_with(TEXT, caption)])[0], vectors)


def test_a_mixed_batch_equals_its_posts_one_by_one(encoder: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(encoder))
    posts = [
        sentence_with(TEXT, CAPTION),
        sentence_with(["hi"]),
        sentence_with(["x", "y"], "a dog"),
        sentence_with(["z"], ""),
    ]
    batch = embeddings.embed_batch(posts)
    for row, post in zip(batch, posts, strict=True):
        alone = embeddings.embed_batch([post])[0]
        torch.testing.assert_close(row[: len(post)], alone, atol=1e-5, rtol=1e-5)
        assert not row[len(post) :].any()


def test_the_batch_equals_what_flair_puts_on_tokens(encoder: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(encoder))
    posts = [sentence_with(TEXT, CAPTION), sentence_with(["hi", "there"])]
    batch = embeddings.embed_batch(posts)
    embeddings.embed(posts)
    for row, post in zip(batch, posts, strict=True):
        torch.testing.assert_close(torch.stack([token.get_embedding() for token in post]), row[: len(post)])


@pytest.mark.parametrize("max_caption_tokens", [None, 2])
def test_lengths_are_those_of_the_encoders_input(
    encoder: Path, monkeypatch: pytest.MonkeyPatch, max_caption_tokens: int | None
) -> None:
    monkeypatch.setattr(captioned_transformer, "MEASURED_AT_ONCE", 2)
    embeddings = CaptionedTransformerEmbeddings(str(encoder), max_caption_tokens=max_caption_tokens)
    posts = [
        sentence_with(TEXT, CAPTION),
        sentence_with(["hi"]),
        sentence_with(["abcde"] * 5, "a long caption"),
        sentence_with(["abcde"] * 9, "no room"),
        sentence_with(["\u200b"]),
    ]
    expected = [int(embeddings.prepare_tensors([post])["attention_mask"].sum()) for post in posts]
    assert embeddings.input_lengths(posts) == expected


@pytest.mark.parametrize("pooling", ["first", "last", "first_last", "mean"])
def test_without_captions_equals_flairs_own_embeddings(tiny_bert: Path, pooling: str) -> None:
    posts = [Sentence(TEXT), Sentence(["hi"])]
    flairs = TransformerWordEmbeddings(str(tiny_bert), subtoken_pooling=pooling, allow_long_sentences=False)
    flairs.embed(posts)
    ours = CaptionedTransformerEmbeddings(str(tiny_bert), subtoken_pooling=pooling)
    assert ours.embedding_length == flairs.embedding_length
    for row, post in zip(ours.embed_batch(posts), posts, strict=True):
        expected = torch.stack([token.get_embedding([flairs.name]) for token in post])
        torch.testing.assert_close(row[: len(post)], expected, atol=1e-5, rtol=1e-5)


def test_with_neighbours_as_context_equals_flairs_own_embeddings(tiny_bert: Path) -> None:
    posts = [Sentence(["before", "it"]), Sentence(["hi", "there"]), Sentence(["after"])]
    flairs = TransformerWordEmbeddings(str(tiny_bert), use_context=4, allow_long_sentences=False)
    flairs.embed(posts)
    ours = CaptionedTransformerEmbeddings(str(tiny_bert), use_context=4, use_context_separator=True)
    ours.model.load_state_dict(flairs.model.state_dict())  # the separator's row is random in each
    for row, post in zip(ours.embed_batch(posts), posts, strict=True):
        expected = torch.stack([token.get_embedding([flairs.name]) for token in post])
        torch.testing.assert_close(row[: len(post)], expected, atol=1e-5, rtol=1e-5)


def test_a_caption_is_no_context_for_the_neighbours(encoder: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(encoder), use_context=4, use_context_separator=True)

    def read_in_the_middle(posts: list[Sentence]) -> list[int]:
        tensors = embeddings.prepare_tensors(posts)
        ids: list[int] = tensors["input_ids"][1][tensors["attention_mask"][1].bool()].tolist()
        return ids

    captioned = [sentence_with(["x"], CAPTION), sentence_with(["la"]), sentence_with(["z"], "a dog")]
    bare = [Sentence([token.text for token in post]) for post in captioned]
    alone = embeddings.prepare_tensors([Sentence(["la"])])["input_ids"]
    assert read_in_the_middle(captioned) == read_in_the_middle(bare)
    assert len(read_in_the_middle(bare)) > alone.shape[1], "without context there is nothing to show"


def test_the_caption_changes_the_words_and_use_caption_switches_it_off(encoder: Path) -> None:
    with_caption, without = sentence_with(TEXT, CAPTION), sentence_with(TEXT)
    embeddings = CaptionedTransformerEmbeddings(str(encoder))
    assert not torch.allclose(embeddings.embed_batch([with_caption]), embeddings.embed_batch([without]))
    ablated = CaptionedTransformerEmbeddings(str(encoder), use_caption=False)
    assert torch.equal(ablated.embed_batch([with_caption]), ablated.embed_batch([without]))


def test_a_literal_separator_in_a_post_does_not_start_the_caption(tiny_bert: Path) -> None:
    words = ["a", "[SEP]", "b"]
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert))
    inputs, vectors = hugging_face(tiny_bert, words, "dog")
    tensors = embeddings.prepare_tensors([sentence_with(words, "dog")])
    assert tensors["token_type_ids"].tolist() == inputs["token_type_ids"].tolist() == [[0] * 5 + [1] * 4]
    torch.testing.assert_close(embeddings.embed_batch([sentence_with(words, "dog")])[0], vectors)


def test_truncation_eats_the_caption_first(tiny_bert: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert))
    text = ["abcde"] * 5  # 25 wordpieces, 3 special tokens: 4 of the encoder's 32 are left
    ids = embeddings.prepare_tensors([sentence_with(text, "x y z x y z")])["input_ids"][0]
    letters = embeddings.tokenizer.convert_ids_to_tokens(ids)
    assert len(letters) == 32
    assert letters[1:26] == embeddings.tokenizer.tokenize(" ".join(text))
    assert letters[26:] == ["[SEP]", "x", "y", "z", "x", "[SEP]"]


def test_a_post_that_fills_the_encoder_loses_its_caption_then_its_last_words(tiny_bert: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert))
    full = ["abcdefghij"] * 3  # exactly 30
    ids = embeddings.prepare_tensors([sentence_with(full, "x")])
    assert ids["input_ids"].shape == (1, 32)
    assert not ids["token_type_ids"].any()
    vectors = embeddings.embed_batch([sentence_with([*full, "more", "words"], "x")])[0]
    assert vectors.any(dim=1).tolist() == [True, True, True, False, False]


def test_max_caption_tokens(tiny_bert: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert), max_caption_tokens=2)
    ids = embeddings.prepare_tensors([sentence_with(["a"], "x y z")])["input_ids"][0]
    assert embeddings.tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "a", "[SEP]", "x", "y", "[SEP]"]
    none = CaptionedTransformerEmbeddings(str(tiny_bert), max_caption_tokens=0)
    assert none.prepare_tensors([sentence_with(["a"], "x y z")])["input_ids"].shape == (1, 3)


def test_a_word_without_wordpieces_gets_a_zero_vector_in_its_place(tiny_bert: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert))
    vectors = embeddings.embed_batch([sentence_with(["a", "\u200b", "b", "\ufe0f"], CAPTION)])[0]
    assert vectors.any(dim=1).tolist() == [True, False, True, False]
    _, expected = hugging_face(tiny_bert, ["a", "b"], CAPTION)
    torch.testing.assert_close(vectors[[0, 2]], expected)
    assert not embeddings.embed_batch([sentence_with(["\u200b"])]).any()


@pytest.mark.parametrize("use_state_dict", [True, False])
def test_is_saved_and_loaded_as_itself(encoder: Path, use_state_dict: bool) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(encoder), max_caption_tokens=3, name="words")
    loaded = load_embeddings(embeddings.save_embeddings(use_state_dict=use_state_dict))
    assert type(loaded) is CaptionedTransformerEmbeddings
    assert (loaded.use_caption, loaded.max_caption_tokens, loaded.name) == (True, 3, "words")
    if not use_state_dict:
        loaded.load_state_dict(embeddings.state_dict())
    posts = [sentence_with(TEXT, CAPTION)]
    assert torch.equal(loaded.embed_batch(posts), embeddings.embed_batch(posts))


def test_gradients_reach_the_encoder_only_when_it_is_fine_tuned(tiny_bert: Path) -> None:
    posts = [sentence_with(TEXT, CAPTION)]
    tuned = CaptionedTransformerEmbeddings(str(tiny_bert), fine_tune=True).train()
    tuned.embed_batch(posts).sum().backward()
    assert any(parameter.grad is not None for parameter in tuned.parameters())
    frozen = CaptionedTransformerEmbeddings(str(tiny_bert), fine_tune=False).train()
    assert not frozen.embed_batch(posts).requires_grad


def test_its_vectors_have_a_name_of_their_own(tiny_bert: Path) -> None:
    assert CaptionedTransformerEmbeddings(str(tiny_bert)).name != TransformerWordEmbeddings(str(tiny_bert)).name


def test_long_sentences_are_refused_with_the_way_out(tiny_bert: Path) -> None:
    with pytest.raises(ConfigurationError, match="TransformerWordEmbeddings"):
        CaptionedTransformerEmbeddings(str(tiny_bert), allow_long_sentences=True)


@settings(max_examples=200, deadline=None)
@given(
    word_ids=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=3),
    pooling=st.sampled_from(["first", "last", "mean", "first_last"]),
)
def test_pooling_equals_a_loop(word_ids: list[list[int]], pooling: str) -> None:
    """Random numbers of wordpieces per word, some words without any, padding after and special tokens around."""
    rows = [[-100, *(word for word, count in enumerate(counts) for _ in range(count)), -100] for counts in word_ids]
    pieces, words = max(map(len, rows)), max(map(len, word_ids))
    ids = torch.tensor([row + [-100] * (pieces - len(row)) for row in rows], device=flair.device)
    hidden = torch.randn(len(rows), pieces, 3, device=flair.device)
    pooled = pool_wordpieces(hidden, ids, words, pooling=pooling)  # type: ignore[arg-type]
    for sentence in range(len(rows)):
        for word in range(words):
            own = hidden[sentence][ids[sentence] == word]
            if len(own) == 0:
                assert not pooled[sentence, word].any()
                continue
            expected = {
                "first": own[0],
                "last": own[-1],
                "mean": own.mean(dim=0),
                "first_last": torch.cat([own[0], own[-1]]),
            }[pooling]
            torch.testing.assert_close(pooled[sentence, word], expected)


def with_contexts(words: list[str], **contexts: str | list[str] | list[PictureObject]) -> Sentence:
    sentence = Sentence(words)
    for key, value in contexts.items():
        sentence.add_metadata(key, value)
    return sentence


def test_several_contexts_are_one_pair_with_separators_between(encoder: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(encoder), contexts=("tags", "caption", "ocr"))
    words = ["hi", "la"]
    separator = embeddings.tokenizer.sep_token
    post = with_contexts(words, caption=["a b", "", "a"], tags="dog", ocr="x y", knowledge="unread")
    inputs, vectors = hugging_face(encoder, words, f"dog {separator} a b {separator} a {separator} x y")
    tensors = embeddings.prepare_tensors([post])
    assert tensors["input_ids"].tolist() == inputs["input_ids"].tolist()
    torch.testing.assert_close(embeddings.embed_batch([post])[0], vectors)
    assert embeddings.input_lengths([post]) == [inputs["input_ids"].shape[1]]
    only_ocr = with_contexts(words, ocr="x y")
    torch.testing.assert_close(embeddings.embed_batch([only_ocr])[0], hugging_face(encoder, words, "x y")[1])
    torch.testing.assert_close(embeddings.embed_text([post])[0], hugging_face(encoder, words, None)[1])


def test_objects_are_read_by_their_names_as_one_context(encoder: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(encoder), contexts=("objects", "ocr"))
    box = (0.0, 0.0, 0.5, 0.5)
    objects = [PictureObject("dog", 0.9, box, ("a", "x")), PictureObject("y", 0.4, box)]
    words, separator = ["hi", "la"], embeddings.tokenizer.sep_token
    for found, text in ((objects, f"a x dog y {separator} z"), ([], "z")):
        post = with_contexts(words, objects=found, ocr="z")
        torch.testing.assert_close(embeddings.embed_batch([post])[0], hugging_face(encoder, words, text)[1])


@pytest.mark.parametrize(
    ("room", "kept"), [(6, "x y [SEP] z w"), (5, "x y [SEP] z w"), (4, "x y [SEP] z"), (3, "x y"), (2, "x y"), (1, "x")]
)
def test_the_last_context_is_cut_first_and_no_separator_is_left_behind(tiny_bert: Path, room: int, kept: str) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert), contexts=("tags", "ocr"), max_caption_tokens=room)
    ids = embeddings.prepare_tensors([with_contexts(["a"], ocr="z w", tags="x y")])["input_ids"][0]
    assert embeddings.tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "a", "[SEP]", *kept.split(), "[SEP]"]


def test_contexts_are_saved_and_the_old_spelling_of_none_still_loads(tiny_bert: Path) -> None:
    embeddings = CaptionedTransformerEmbeddings(str(tiny_bert), contexts=["ocr", "caption"])
    state = embeddings.save_embeddings(use_state_dict=False)
    assert load_embeddings(dict(state)).contexts == ("ocr", "caption")
    del state["contexts"]
    for use_caption, expected in ((True, ("caption",)), (False, ())):
        loaded = load_embeddings({**state, "use_caption": use_caption})
        assert (loaded.contexts, loaded.use_caption) == (expected, use_caption)


@pytest.mark.parametrize("contexts", [("image",), ("ocr", "ocr"), "caption"])
def test_contexts_that_are_none_are_named(tiny_bert: Path, contexts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="expected some of caption, tags, ocr, knowledge, objects, each once"):
        CaptionedTransformerEmbeddings(str(tiny_bert), contexts=contexts)
