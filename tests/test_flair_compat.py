"""What this package takes for granted of Flair's private parts: a Flair that changes them fails here."""

from pathlib import Path
from typing import Any

import pytest
import torch
from flair.data import Corpus, Sentence, Token
from flair.datasets import FlairDatapointDataset
from flair.embeddings import HashEmbeddings, TokenEmbeddings, TransformerWordEmbeddings
from flair.file_utils import Tqdm
from flair.models import SequenceTagger
from flair.nn import Classifier
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from flair_espvr.data.words import readable_text, split_text
from flair_espvr.flair_compat import (
    current_grad_scaler,
    expand_with_context,
    hide_progress_bars,
    iter_dataset,
    remove_metadata,
)


class OneValue(TokenEmbeddings):
    """The length of each word; counts how often Flair asks for words."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "length"
        self.static_embeddings = True
        self.asked = 0

    @property
    def embedding_length(self) -> int:
        return 1

    @property
    def embedding_type(self) -> str:
        return "word-level"

    def _add_embeddings_internal(self, sentences: list[Sentence]) -> None:
        self.asked += 1
        for token in (token for sentence in sentences for token in sentence):
            token.set_embedding(self.name, torch.tensor([float(len(token.text))]))


class Watcher(TrainerPlugin):
    """Remembers the order of things in a training, and the scaler that its hooks find."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.scalers: list[torch.amp.GradScaler] = []

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_setup(self, **_: Any) -> None:
        forward_loss = self.model.forward_loss

        def watched(sentences: list[Sentence]) -> tuple[torch.Tensor, int]:
            self.events.append("loss")
            return forward_loss(sentences)

        self.model.forward_loss = watched
        self.trainer.context_stack.callback(self.events.append, "end")

    @TrainerPlugin.hook(
        "before_training_epoch", "before_training_optimizer_step", "after_evaluation", "after_training_loop"
    )  # type: ignore[untyped-decorator]
    def look(self, **_: Any) -> None:
        self.scalers.append(current_grad_scaler())

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def before_training_epoch(self, **_: Any) -> None:
        self.events.append("epoch")

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_evaluation(self, **_: Any) -> None:
        self.events.append("evaluation")

    @TrainerPlugin.hook  # type: ignore[untyped-decorator]
    def after_training_loop(self, **_: Any) -> None:
        self.events.append("loop")


@pytest.fixture
def flair_tagger(corpus: Corpus[Sentence]) -> SequenceTagger:
    """Flair's own model, so that no override of this package stands between the test and Flair."""
    return SequenceTagger(
        HashEmbeddings(num_embeddings=50, embedding_length=4),
        corpus.make_label_dictionary("ner"),
        "ner",
        use_crf=False,
        use_rnn=False,
        reproject_embeddings=False,
    )


def test_a_data_set_is_read_in_order_as_single_sentences(posts: list[Sentence]) -> None:
    read = list(iter_dataset(FlairDatapointDataset(posts)))
    assert len(read) == len(posts)
    assert all(one is other for one, other in zip(read, posts, strict=True))
    assert list(iter_dataset(None)) == []


def test_problem_characters_are_those_that_a_sentence_loses() -> None:
    texts = ["a\u200bb c\ufe0f", "\ufeffa", "one\u2028two", "caf\x82", "Kevin \U0001f600 plays"]
    for text in texts:
        assert Sentence(text).to_original_text() == readable_text(text)


def test_problem_characters_are_dropped_or_replaced_one_by_one_and_never_doubled() -> None:
    characters = [chr(code) for code in [*range(0x3000), *range(0xF000, 0x10000), 0x1F600]]
    cleaned = [readable_text(character) for character in characters]
    assert max(map(len, cleaned)) == 1
    assert readable_text("".join(characters)) == "".join(cleaned)


def test_removed_metadata_is_as_if_it_had_never_been_there() -> None:
    sentence = Sentence("a")
    sentence.add_metadata("kept", 1)
    sentence.add_metadata("gone", 2)
    for _ in range(2):
        remove_metadata(sentence, "gone")
        assert (sentence.has_metadata("kept"), sentence.has_metadata("gone")) == (True, False)


@pytest.mark.parametrize("context", [0, 2])
def test_context_stands_around_a_sentence_s_own_tokens(tiny_bert: Path, context: int) -> None:
    embeddings = TransformerWordEmbeddings(str(tiny_bert), use_context=context, use_context_separator=False)
    embeddings.context_dropout = 0.0
    sentences = [Sentence(words.split()) for words in ("we sing in town", "mary plays", "new york is big")]
    Sentence.set_context_for_sentences(sentences)
    tokens, start = expand_with_context(embeddings, sentences[1])
    expected = ["in", "town", "mary", "plays", "new", "york"] if context else ["mary", "plays"]
    assert [token.text for token in tokens] == expected
    assert all(isinstance(token, Token) for token in tokens)
    assert start == context


def test_embeddings_are_asked_for_words_by_the_hook(posts: list[Sentence]) -> None:
    embeddings = OneValue()
    embeddings.embed(posts)
    assert embeddings.asked == 1
    assert [token.get_embedding().item() for token in posts[0]] == [len(token.text) for token in posts[0]]


def test_a_model_is_saved_and_loaded_by_the_two_hooks(
    flair_tagger: SequenceTagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, found = SequenceTagger._get_state_dict, []

    def read(cls: type[SequenceTagger], state: dict[str, Any], **arguments: Any) -> SequenceTagger:
        found.append((cls, state["mark"], arguments))
        return flair_tagger

    monkeypatch.setattr(SequenceTagger, "_get_state_dict", lambda model: {**write(model), "mark": 7})
    monkeypatch.setattr(SequenceTagger, "_init_model_with_state_dict", classmethod(read))
    flair_tagger.save(tmp_path / "model.pt")
    assert Classifier.load(tmp_path / "model.pt") is flair_tagger
    assert SequenceTagger.load({**flair_tagger._get_state_dict()}) is flair_tagger
    assert found == [(SequenceTagger, 7, {})] * 2


def test_the_scaler_that_hooks_find_is_the_one_that_training_uses(
    flair_tagger: SequenceTagger, corpus: Corpus[Sentence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.amp.GradScaler] = []

    def make(**arguments: Any) -> torch.amp.GradScaler:
        made.append(torch.amp.GradScaler("cpu", enabled=arguments["enabled"]))
        return made[-1]

    monkeypatch.setattr(torch.cuda.amp, "GradScaler", make)
    watcher = Watcher()
    ModelTrainer(flair_tagger, corpus).train(tmp_path, max_epochs=1, plugins=[watcher])
    (scaler,) = made
    assert len(watcher.scalers) >= 4
    assert all(found is scaler for found in watcher.scalers)
    assert not scaler.is_enabled()


def test_there_is_no_scaler_outside_of_training() -> None:
    with pytest.raises(RuntimeError, match="running Flair training"):
        current_grad_scaler()


def test_the_order_of_hooks_and_files_in_a_training(
    flair_tagger: SequenceTagger, corpus: Corpus[Sentence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resuming rests on it: a best model is written after its evaluation and before the next epoch's first hook."""
    watcher = Watcher()

    def save(_: ModelTrainer, model_file: Path, checkpoint: bool = False) -> None:
        watcher.events.append(Path(model_file).name)
        flair_tagger.save(model_file)

    monkeypatch.setattr(ModelTrainer, "_save_model", save)
    # The scores of two epochs: the second is better, whatever the tagger learned.
    scores = iter([0.1, 0.2])
    evaluate = SequenceTagger.evaluate

    def evaluate_better(*arguments: Any, **options: Any) -> Any:
        result = evaluate(*arguments, **options)
        result.main_score = next(scores, 0.0)
        return result

    monkeypatch.setattr(SequenceTagger, "evaluate", evaluate_better)
    ModelTrainer(flair_tagger, corpus).train(tmp_path, max_epochs=2, mini_batch_size=8, plugins=[watcher])
    epoch = ["epoch", "loss", "evaluation", "best-model.pt"]
    trained = [event for event in watcher.events if event != "loss"]
    assert trained == [event for event in epoch * 2 if event != "loss"] + ["loop", "final-model.pt", "end"]
    assert watcher.events.index("loss") == 1


def test_bars_of_flair_can_be_hidden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Tqdm, "tqdm", staticmethod(tqdm))  # whatever commands have hidden in this process before
    sentence = Sentence("Berlin")
    sentence[0:1].add_label("ner", "LOC")
    corpus = Corpus(FlairDatapointDataset([sentence]), sample_missing_splits=False)
    corpus.make_label_dictionary("ner", add_unk=False)
    assert "it/s" in capsys.readouterr().err
    hide_progress_bars()
    corpus.make_label_dictionary("ner", add_unk=False)
    list(Tqdm.tqdm([1], disable=False))  # as its evaluations ask for
    assert capsys.readouterr().err == ""


@given(st.text(st.sampled_from("aB 1.,'-@#é☂️\u200b\ufe0f\u2028\u0080\u0081\u3000\n天")))
def test_a_text_is_split_as_a_sentence_splits_it(text: str) -> None:
    words = [(token.text, token.start_position, token.end_position) for token in Sentence(text)]
    assert [tuple(word) for word in split_text(text)] == words


def test_real_texts_are_split_as_a_sentence_splits_them() -> None:
    for text in [
        "I can't. We've been at Kevin's http://t.co/x?y=1 #NBA…",
        "Mr. O'Neil isn't 3.5% \u0093here\u0094\n\nNow!",
    ]:
        words = [(token.text, token.start_position, token.end_position) for token in Sentence(text)]
        assert [tuple(word) for word in split_text(text)] == words
