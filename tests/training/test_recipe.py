"""Recipes: every mistake at once, and every file in `recipes/` builds, trains and predicts."""

from pathlib import Path

import pytest

from flair_espvr import ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.errors import ConfigurationError
from flair_espvr.files import packaged_folder, resolve_packaged
from flair_espvr.training.build import build_corpus, build_embeddings, build_regions, train
from flair_espvr.training.recipe import load_recipe

RECIPES = sorted(packaged_folder("recipes").glob("*.yaml"))

GOOD = """
corpus: {folder: posts, captions: posts/captions.tsv}
embeddings: {model: some-encoder}
training: {learning_rate: 1e-4}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return folder / "recipe.yaml"


def test_numbers_paths_and_the_papers_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert recipe.training.learning_rate == 1e-4  # PyYAML reads a string
    assert recipe.corpus.captions == tmp_path / "posts/captions.tsv"
    assert (recipe.model.dropout, recipe.model.span_loss_weight, recipe.seeds) == (0.4, 0.08, (1, 2, 3))


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD + "model: {windw: 4, dropout: 2}\nseeds: []\n"
    with pytest.raises(ConfigurationError) as raised:
        load_recipe(write(tmp_path, text))
    message = str(raised.value)
    assert str(tmp_path / "recipe.yaml") in message
    for place in ("model.windw", "model.dropout", "seeds"):
        assert place in message


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "corpus: 3\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"recipe\.yaml"):
        load_recipe(write(tmp_path, text))
    with pytest.raises(FileNotFoundError):
        load_recipe(tmp_path / "absent.yaml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_builds_trains_and_predicts(path: Path, tmp_path: Path, tiny_bert: Path) -> None:
    """One epoch on eight posts, with a tiny encoder in place of the recipe's."""
    recipe = load_recipe(path)
    recipe = recipe.model_copy(
        update={
            "embeddings": recipe.embeddings.model_copy(update={"model": str(tiny_bert)}),
            "training": recipe.training.model_copy(update={"max_epochs": 1}),
        }
    )
    assert build_embeddings(recipe.embeddings).use_caption == recipe.embeddings.use_caption
    corpus = build_corpus(recipe.corpus)
    corpus._train, corpus._dev, corpus._test = [list(split)[:8] for split in (corpus.train, corpus.dev, corpus.test)]
    assert recipe.regions is not None
    regions: ImageRegionEmbeddings = build_regions(recipe.regions)
    tagger = train(recipe, corpus, regions, tmp_path, seed=1)
    assert isinstance(tagger, ESPVRTagger)
    tagger.predict(list(corpus.test), label_name="predicted")


def test_files_of_packages(tmp_path: Path) -> None:
    assert resolve_packaged("bert-base-uncased") == "bert-base-uncased"
    assert Path(resolve_packaged("package:flair_espvr/py.typed")).is_file()
    with pytest.raises(ConfigurationError, match="not installed"):
        resolve_packaged("package:no_such_package/file")
    with pytest.raises(ConfigurationError, match="has no"):
        resolve_packaged("package:flair_espvr/absent")
