"""Recipes as files: extended, overridden, and every mistake at once."""

from pathlib import Path

import pytest

from flair_espvr.errors import ConfigurationError
from flair_espvr.files import resolve_packaged
from flair_espvr.training.recipe_file import load_recipe

GOOD = """
corpus: {folder: posts, captions: posts/captions.tsv}
embeddings: {model: some-encoder}
model: {regions: none}
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
    text = GOOD.replace("regions: none", "windw: 4, dropout: 2") + "seeds: []\n"
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


def test_files_of_packages(tmp_path: Path) -> None:
    assert resolve_packaged("bert-base-uncased") == "bert-base-uncased"
    assert Path(resolve_packaged("package:flair_espvr/py.typed")).is_file()
    with pytest.raises(ConfigurationError, match="not installed"):
        resolve_packaged("package:no_such_package/file")
    with pytest.raises(ConfigurationError, match="has no"):
        resolve_packaged("package:flair_espvr/absent")
