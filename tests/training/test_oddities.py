"""What is said before a training, of posts that were made to deserve it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from flair_espvr import MINILM_L6
from flair_espvr.data.encoder_fit import read_tokenizer
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.pretrained import find_model
from flair_espvr.training.build import build_corpus
from flair_espvr.training.oddities import found, oddities
from flair_espvr.training.recipes.recipe_file import load_recipe


def said(path: Path, **changes: Any) -> list[str]:
    content = {**yaml.safe_load(path.read_text(encoding="utf-8")), **changes}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    recipe = load_recipe(path)
    return list(oddities(recipe, build_corpus(recipe.corpus)))


def test_posts_without_oddities(recipe_path: Path) -> None:
    assert said(recipe_path) == []


def test_a_dev_set_without_entities_and_types_of_the_test_set_alone(recipe_path: Path, corpus_folder: Path) -> None:
    (corpus_folder / "valid.txt").write_text("IMGID:0\nkevin\tO\n", encoding="utf-8")
    (corpus_folder / "test.txt").write_text("IMGID:0\nkevin\tB-GOD\n\nIMGID:1\nmary\tB-GOD\n", encoding="utf-8")
    no_entity, unseen = said(recipe_path)
    assert no_entity.startswith("none of the 1 development posts has an entity")
    assert unseen.endswith("cannot be learned: GOD (2)")
    corpus = build_corpus(load_recipe(recipe_path).corpus)
    assert found(corpus, "ner").startswith(
        "posts: 12 training, 1 development, 2 test posts; 0 pictures, 15 captions; types "
    )


def test_pictures_that_are_all_the_same(recipe_path: Path, corpus_folder: Path) -> None:
    (corpus_folder / "images").mkdir()
    for number in range(12):
        Image.new("RGB", (8, 8)).save(corpus_folder / "images" / f"{number}.png")
    with_pictures = {"model": {"type": "espvr", "window": 1}, "regions": {"model": "resnet18"}}
    (same,) = said(recipe_path, **with_pictures)
    assert same.startswith("12 of the first 12 training pictures are the same picture")
    for number in range(8):
        Image.new("RGB", (8, 9 + number)).save(corpus_folder / "images" / f"{number}.png")
    assert said(recipe_path, **with_pictures) == []


def test_an_encoder_that_does_not_know_the_language(recipe_path: Path, corpus_folder: Path) -> None:
    posts = "".join(f"IMGID:{number}\n天\tB-PER\n宇宙\tO\nkevin\tO\n\n" for number in range(12))
    (corpus_folder / "train.txt").write_text(posts, encoding="utf-8")
    *unseen, unknown = said(recipe_path)
    assert [one.endswith("LOC (2)") for one in unseen] == [True, True]
    assert "67% of the words are unknown to the encoder" in unknown
    fit = read_tokenizer(find_model(MINILM_L6)).fit([["one"] * 511, ["one"] * 510, ["🦣🦣"]])
    assert (fit.words, fit.unknown, fit.posts, fit.longer, fit.limit) == (1022, 1, 3, 1, 512)


def test_a_tokenizer_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"its tokenizer cannot be read .*has no tokenizer\.json"):
        read_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="its tokenizer cannot be read"):
        read_tokenizer(str(tmp_path))
