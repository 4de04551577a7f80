"""Recipes as files: extended, overridden, and every mistake at once."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flair_espvr.errors import ConfigurationError
from flair_espvr.training.recipes.recipe_file import load_corpus_section, load_recipe
from flair_espvr.training.recipes.sections import (
    CaptionedTransformer,
    ColumnCorpus,
    FineTune,
    Place,
    SequenceTagger,
    TwitterCorpus,
)

GOOD = """
corpus: {folder: posts, captions: posts/captions.tsv}
embeddings: {model: some-encoder}
model: {regions: none}
training: {learning_rate: 1e-4}
"""


def write(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def mistakes(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load_recipe(path, overrides)
    return str(raised.value)


def test_numbers_paths_and_the_papers_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert recipe.training.learning_rate == 1e-4  # PyYAML reads a string
    assert recipe.corpus.captions == tmp_path / "posts/captions.tsv"
    assert (recipe.model.dropout, recipe.model.span_loss_weight, recipe.seeds) == (0.4, 0.08, (1, 2, 3))  # type: ignore[union-attr]


def test_every_place_of_a_corpus_is_relative_to_the_recipe(tmp_path: Path) -> None:
    places = [name for name, field in ColumnCorpus.model_fields.items() if field.annotation == Place]
    assert {"images", "objects", "gold_regions"} <= set(places)
    named = "".join(f", {name}: posts/{name}" for name in places if name != "captions")
    corpus = load_recipe(write(tmp_path, GOOD.replace("captions.tsv", f"captions{named}"))).corpus
    assert [getattr(corpus, name) for name in places] == [tmp_path / "posts" / name for name in places]


def test_three_planted_mistakes_are_all_reported_with_what_was_perhaps_meant(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("regions: none", "windw: 4, dropout: 2") + "seed: 1\n")
    message = mistakes(path)
    assert message.startswith(f"{path}: 3 mistakes:")
    assert "model.windw: unknown key; did you mean window?" in message
    assert "model.dropout: input should be less than 1, given 2" in message
    assert "seed: unknown key; did you mean seeds?" in message


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("model: {type: espvrr}", "model.type: expected one of 'adacan', 'espvr', "),
        ("model: {type: sequence_tagger, window: 3}", "model.window: unknown key; known here: type, use_rnn"),
        ("embeddings: {type: stack, parts: [{type: words}]}", "embeddings.parts.0.vectors: missing"),
        ("training: {}", "training.learning_rate: missing"),
        ("corpus: {}", "corpus.folder: missing"),
        ("corpus: {type: twitter_2017, label_name_map: {OTHER: 3}}", "corpus.label_name_map.OTHER: input should be"),
        ("seeds: []", "seeds: expected at least 1"),
        ("model: {regions: all}", "needs a section regions (a backbone); give one, or set model.regions to 'none'"),
        ("regions: {model: swin}", "a section regions, but the model reads no pictures"),
    ],
)
def test_places_are_those_of_the_file(tmp_path: Path, section: str, expected: str) -> None:
    content = {**yaml.safe_load(GOOD), **yaml.safe_load(section)}
    assert expected in mistakes(write(tmp_path, yaml.safe_dump(content)))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "corpus: 3\n", "a: 1\na: 2\n", "[" * 5000])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"recipe\.yaml"):
        load_recipe(write(tmp_path, text))
    with pytest.raises(FileNotFoundError):
        load_recipe(tmp_path / "absent.yaml")


def test_a_recipe_extends_another_with_the_paths_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    write(tmp_path / "base", GOOD, "base.yaml")
    middle = "extends: base/base.yaml\ntraining: {max_epochs: 3}\ncorpus: {images: pictures}\n"
    write(tmp_path, middle, "middle.yaml")
    recipe = load_recipe(write(tmp_path, "extends: middle.yaml\nembeddings: {use_caption: false}\n"))
    assert isinstance(recipe.corpus, ColumnCorpus)
    assert isinstance(recipe.embeddings, CaptionedTransformer)
    assert recipe.corpus.folder == tmp_path / "base/posts"
    assert recipe.corpus.images == tmp_path / "pictures"
    assert (recipe.training.learning_rate, recipe.training.max_epochs) == (1e-4, 3)
    assert (recipe.embeddings.model, recipe.embeddings.use_caption) == ("some-encoder", False)


def test_a_section_of_another_type_starts_afresh(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "base.yaml")
    text = "extends: base.yaml\nmodel: {type: sequence_tagger, use_rnn: false}\ncorpus: {type: twitter_2015}\n"
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.model == SequenceTagger(type="sequence_tagger", use_rnn=False)
    assert recipe.corpus == TwitterCorpus(type="twitter_2015")


def test_a_recipe_that_extends_itself_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "extends: recipe.yaml\n", "other.yaml")
    assert "extends itself" in mistakes(write(tmp_path, "extends: other.yaml\n"))
    assert "extends" in mistakes(write(tmp_path, "extends: [a, b]\n"))


def test_the_command_line_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, GOOD)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    changes = ["training.max_epochs=3", "seeds=[7]", "corpus.images=pictures", "training.decoder_learning_rate=1e-3"]
    recipe = load_recipe(path, changes)
    assert isinstance(recipe.training, FineTune)
    assert (recipe.training.max_epochs, recipe.training.decoder_learning_rate, recipe.seeds) == (3, 1e-3, (7,))
    assert recipe.corpus.images == tmp_path / "here/pictures"
    assert "did you mean max_epochs?" in mistakes(path, "training.max_epoch=3")
    for text in ("training.max_epochs", "=3", "a..b=1", "a=[", "a=2020-99-99"):
        assert text in mistakes(path, text)


def test_a_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    (tmp_path / "elsewhere").mkdir()
    again = load_recipe(write(tmp_path / "elsewhere", recipe.to_yaml()))
    assert again == recipe
    assert again.digest() == recipe.digest()


@given(seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3), resume=st.booleans(), epochs=st.integers(1, 3))
def test_the_digest_is_of_what_decides_the_outcome(
    tmp_path_factory: pytest.TempPathFactory, seeds: list[int], resume: bool, epochs: int
) -> None:
    path = write(tmp_path_factory.mktemp("recipe"), GOOD)
    base = load_recipe(path, ["training.max_epochs=2"])
    changes = [f"seeds={seeds}", f"training.resume={str(resume).lower()}", f"training.max_epochs={epochs}"]
    assert (load_recipe(path, changes).digest() == base.digest()) == (epochs == 2)


@pytest.mark.parametrize(
    "alternatives",
    [
        [["model.type=umt", "regions={model: resnet50}"], ["model.type=maf", "regions={model: resnet50}"]],
        [["corpus={folder: posts}"], ["corpus={folder: posts, type: posts}"]],
        [["training={learning_rate: 0.1}"], ["training={learning_rate: 0.1, type: train}"]],
    ],
    ids=["model", "corpus", "training"],
)
def test_another_kind_of_section_is_another_experiment(tmp_path: Path, alternatives: list[list[str]]) -> None:
    path = write(tmp_path, GOOD)
    one, other = (load_recipe(path, changes).digest() for changes in alternatives)
    assert one != other


def test_corpora_by_name_recipe_folder_and_file(tmp_path: Path) -> None:
    posts = tmp_path / "posts"
    posts.mkdir()
    assert load_corpus_section("twitter_2017") == TwitterCorpus(type="twitter_2017")
    assert load_corpus_section(str(write(tmp_path, GOOD))).captions == posts / "captions.tsv"
    assert load_corpus_section(str(posts)) == ColumnCorpus(folder=posts)
    write(posts, "", "test.jsonl")
    single = load_corpus_section(str(posts / "test.jsonl"), [f"corpus.images={tmp_path}"])
    assert single == ColumnCorpus(folder=posts, train_file=None, dev_file=None, test_file="test.jsonl", images=tmp_path)
    with pytest.raises(ConfigurationError, match="twitter_2016"):
        load_corpus_section("twitter_2016")
