"""Words' vectors from characters, beside slow loops: over windows of characters, and over an LSTM's steps."""

import flair
import pytest
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings.base import load_embeddings
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.embeddings import CharacterCNNEmbeddings, CharacterLSTMEmbeddings


def alphabet() -> Dictionary:
    dictionary = Dictionary(add_unk=True)
    for character in "abcdef":
        dictionary.add_item(character)
    return dictionary


@pytest.fixture(scope="module")
def convolution() -> CharacterCNNEmbeddings:
    flair.set_seed(3)
    return CharacterCNNEmbeddings(alphabet(), char_embedding_dim=5, filters=4, width=3)


@pytest.fixture(scope="module")
def lstm() -> CharacterLSTMEmbeddings:
    flair.set_seed(3)
    return CharacterLSTMEmbeddings(alphabet(), char_embedding_dim=5, hidden_size_char=4)


def slow_convolution(embeddings: CharacterCNNEmbeddings, word: str) -> torch.Tensor:
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


def slow_lstm(embeddings: CharacterLSTMEmbeddings, word: str) -> torch.Tensor:
    """Each direction's state after all of the word's characters (Hochreiter and Schmidhuber, with a forget gate)."""
    ids = [embeddings.dictionary.get_idx_for_item(character) for character in word]
    weights = dict(embeddings.rnn.named_parameters())
    ends = []
    for direction, order in (("", ids), ("_reverse", ids[::-1])):
        state = cell = torch.zeros(4)
        for character in order:
            read = embeddings.embedding.weight[character]
            gates = weights[f"weight_ih_l0{direction}"] @ read + weights[f"bias_ih_l0{direction}"]
            gates = gates + weights[f"weight_hh_l0{direction}"] @ state + weights[f"bias_hh_l0{direction}"]
            enter, keep, new, show = gates.chunk(4)
            cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
            state = show.sigmoid() * cell.tanh()
        ends.append(state)
    return torch.cat(ends)


WORDS = st.lists(st.text("abcdefé😀", min_size=1, max_size=9), min_size=1, max_size=6)


@given(words=WORDS)
def test_convolution_equals_the_slow_loop_whatever_stands_beside(
    convolution: CharacterCNNEmbeddings, words: list[str]
) -> None:
    sentences = [Sentence(words), Sentence(words[::-1])]
    with torch.no_grad():
        convolution.embed(sentences)
        for token in (token for sentence in sentences for token in sentence):
            torch.testing.assert_close(token.get_embedding(), slow_convolution(convolution, token.text))


@given(words=WORDS)
def test_lstm_equals_the_slow_loop_whatever_stands_beside(lstm: CharacterLSTMEmbeddings, words: list[str]) -> None:
    sentences = [Sentence([*words, words[0]]), Sentence(words[::-1])]  # a word that stands twice, too
    with torch.no_grad():
        lstm.embed(sentences)
        for token in (token for sentence in sentences for token in sentence):
            torch.testing.assert_close(token.get_embedding(), slow_lstm(lstm, token.text))


@pytest.mark.parametrize(("kind", "length"), [("convolution", 4), ("lstm", 8)])
def test_learns_and_is_rebuilt(kind: str, length: int, request: pytest.FixtureRequest) -> None:
    embeddings = request.getfixturevalue(kind)
    copy = load_embeddings(embeddings.save_embeddings(use_state_dict=True))
    assert type(copy) is type(embeddings)
    assert embeddings.embedding_length == copy.embedding_length == length
    sentence, again = Sentence(["bad", "cab"]), Sentence(["bad", "cab"])
    embeddings.embed(sentence)
    copy.embed(again)
    torch.testing.assert_close(sentence[1].get_embedding(), again[1].get_embedding())
    sentence[0].get_embedding().sum().backward()
    assert embeddings.embedding.weight.grad is not None
    assert embeddings.embedding.weight.grad[embeddings.padding].abs().sum() == 0
