"""ITA: two views in training, and at prediction the contexts that a post has."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from flair.data import Sentence
from flair.embeddings import TransformerWordEmbeddings

from flair_espvr import CaptionedTransformerEmbeddings, ITATagger
from flair_espvr.errors import ConfigurationError

CONTEXTS = ("tags", "caption", "ocr")


@pytest.fixture
def tagger(build: Callable[..., ITATagger], tiny_bert: Path) -> ITATagger:
    return build("ita", embeddings=CaptionedTransformerEmbeddings(str(tiny_bert), contexts=CONTEXTS))


def post(**contexts: str) -> Sentence:
    sentence = Sentence(["mary", "sings"])
    for key, value in contexts.items():
        sentence.add_metadata(key, value)
    return sentence


def test_training_reads_every_post_with_its_contexts_and_without(tagger: ITATagger) -> None:
    posts, tags = [post(tags="a dog", ocr="b"), post()], torch.zeros(2, 2, dtype=torch.long)
    inputs = tagger.eval().network_inputs(posts, keep_embeddings=False, tags=tags)
    assert "text_words" not in inputs
    tagger.training = True  # its parts stay as they are: dropout would hide what is to be seen
    tagger.embeddings.eval()
    inputs = tagger.network_inputs(posts, keep_embeddings=False, tags=tags)
    words, text = inputs["words"], inputs["text_words"]
    torch.testing.assert_close(words[1], text[1])
    torch.testing.assert_close(text[0], text[1])
    assert not torch.allclose(words[0], text[0])


def test_nothing_is_kept_of_the_text_alone(tagger: ITATagger) -> None:
    sentence = post(caption="a dog")
    tagger.embeddings.eval().embed_text([sentence])
    assert not any(token._embeddings for token in sentence)


def test_every_context_has_a_say_at_prediction(tagger: ITATagger) -> None:
    tagger.eval()
    bare = tagger([post()])[0].emissions
    for key in CONTEXTS:
        assert not torch.allclose(tagger([post(**{key: "a dog"})])[0].emissions, bare)
    torch.testing.assert_close(tagger([post(knowledge="a dog")])[0].emissions, bare)


def test_embeddings_that_always_read_everything_are_refused(build: Callable[..., ITATagger], tiny_bert: Path) -> None:
    with pytest.raises(ConfigurationError, match="TransformerWordEmbeddings cannot read a post with its contexts and"):
        build("ita", embeddings=TransformerWordEmbeddings(str(tiny_bert), allow_long_sentences=False))
