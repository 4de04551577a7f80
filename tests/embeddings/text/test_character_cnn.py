"""Character vectors, beside a slow loop over windows of characters."""

import flair
import pytest
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings.base import load_embeddings
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.embeddings import CharacterCNNEmbeddings


def alphabet() -> Dictionary:
    dictionary = Dictionary(add_unk=True)
    for character in "abcdef":
        dictionary.add_item(character)
    return dictionary


@pytest.fixture(scope="module")
def embeddings() -> CharacterCNNEmbeddings:
    flair.set_seed(3)
    return CharacterCNNEmbeddings(alphabet(), char_embedding_dim=5, filters=4, width=3)


def slow(embeddings: CharacterCNNEmbeddings, word: str) -> torch.Tensor:
    """For each filter the largest response over the word's characters, with nothing beyond its ends."""
    ids = [embeddings.dictionary.get_idx_for_item(character) for character in word]
    weight, bias = embeddings.convolution.weight, embeddings.convolution.bias
    assert bias is not None
    responses = []
    for middle in range(len(ids)):
        response = bias.clone()
        for offset in range(-1, 2):
            if 0 <= middle + offset < len(ids):
                response = response + weight[:, :, offset + 1] @ embeddings.embedding.weight[ids[middle + offset]]
        responses.append(response)
    return torch.stack(responses).max(dim=0).values


@given(words=st.lists(st.text("abcdefé😀", min_size=1, max_size=9), min_size=1, max_size=6))
def test_equals_the_slow_loop_whatever_stands_beside(embeddings: CharacterCNNEmbeddings, words: list[str]) -> None:
    sentences = [Sentence(words), Sentence(words[::-1])]
    with torch.no_grad():
        embeddings.embed(sentences)
        for token in (token for sentence in sentences for token in sentence):
            torch.testing.assert_close(token.get_embedding(), slow(embeddings, token.text))


def test_learns_and_is_rebuilt(embeddings: CharacterCNNEmbeddings) -> None:
    copy = load_embeddings(embeddings.save_embeddings(use_state_dict=True))
    assert isinstance(copy, CharacterCNNEmbeddings)
    assert copy.embedding_length == 4
    sentence, again = Sentence(["bad", "cab"]), Sentence(["bad", "cab"])
    embeddings.embed(sentence)
    copy.embed(again)
    torch.testing.assert_close(sentence[1].get_embedding(), again[1].get_embedding())
    sentence[0].get_embedding().sum().backward()
    assert embeddings.embedding.weight.grad is not None
    assert embeddings.embedding.weight.grad[embeddings.padding].abs().sum() == 0
