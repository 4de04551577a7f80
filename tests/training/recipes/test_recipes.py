"""Every file in `recipes/` is read, built, trained for a step and predicts, with tiny weights in place of its own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import flair
import pytest
import torch
from flair.embeddings import WordEmbeddings
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

from flair_espvr import ImageRegionEmbeddings, MultimodalCorpus, MultimodalTagger, PictureObject
from flair_espvr.data.metadata import CAPTION, CONTEXTS, OBJECTS
from flair_espvr.errors import ConfigurationError
from flair_espvr.flair_compat import remove_metadata
from flair_espvr.io.packaged import packaged_folder
from flair_espvr.nn.config import ModelConfig
from flair_espvr.training import build
from flair_espvr.training.recipes.recipe import Recipe
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.recipes.sections import ColumnCorpus, Stack, Words
from flair_espvr.training.runs.run import fit
from flair_espvr.training.search import load_search, points
from flair_espvr.training.tables.table_file import load_table

FOLDER = packaged_folder("recipes")
TABLES, SEARCHES = (sorted((FOLDER / name).rglob("*.yaml")) for name in ("tables", "search"))
RECIPES = sorted(set(FOLDER.rglob("*.yaml")) - {*TABLES, *SEARCHES})
MULTILINGUAL = FOLDER / "multilingual" / "espvr_xlmr.yaml"
"""Trained over a vocabulary of its own kind, in a test of its own."""

POSTS = packaged_folder("resources") / "quickstart"


@pytest.fixture(scope="module")
def corpus() -> MultimodalCorpus:
    corpus = build.build_corpus(ColumnCorpus(folder=POSTS, images=POSTS / "images", captions=POSTS / "captions.tsv"))
    # Flair's own tagger ends in an IndexError on a type that it has not seen, so all splits are the same posts.
    corpus._train = corpus._dev = corpus._test = posts = list(corpus.train)[:8]
    for key in set(CONTEXTS) - {CAPTION, OBJECTS}:
        posts[0].add_metadata(key, "a dog")
    posts[0].add_metadata(OBJECTS, [PictureObject("person", 0.9, (0.2, 0.1, 0.7, 0.8))])
    return corpus


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> ImageRegionEmbeddings:
    """One small backbone and store for all recipes; a recipe's own is built by no test without its weights."""
    recipe = load_recipe(FOLDER / "quickstart.yaml")
    assert recipe.regions is not None
    return build.build_regions(
        recipe.regions.model_copy(update={"image_size": 64, "store": tmp_path_factory.mktemp("regions")})
    )


def small(recipe: Recipe, encoder: Path) -> Recipe:
    """The recipe with a tiny encoder wherever it names one, and one epoch."""

    def with_encoder(section: Any) -> Any:
        if isinstance(section, Stack):
            return section.model_copy(update={"parts": tuple(map(with_encoder, section.parts))})
        return section.model_copy(update={"model": str(encoder)}) if hasattr(section, "model") else section

    heads = {"num_heads": 2} if hasattr(recipe.model, "num_heads") else {}
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update=heads),
            "embeddings": with_encoder(recipe.embeddings),
            "training": recipe.training.model_copy(update={"max_epochs": 1}),
        }
    )


def tiny_word_vectors(vectors: str, *, fine_tune: bool) -> WordEmbeddings:
    assert vectors
    return WordEmbeddings(None, vocab={"a": 0, "in": 1}, embedding_length=8, fine_tune=fine_tune, name="tiny")


def that_differ(paths: Iterable[Path]) -> list[Path]:
    """One recipe for each kind that is left where corpus, encoder and learning rate are the test's."""
    elsewhere = {"corpus": True, "seeds": True, "training": {"learning_rate"}}
    kinds = {small(load_recipe(path), Path("tiny")).model_dump_json(exclude=elsewhere): path for path in sorted(paths)}
    return sorted(kinds.values())


def test_every_recipe_opens_with_what_it_reproduces() -> None:
    assert [path for path in RECIPES if not path.read_text(encoding="utf-8").startswith("# ")] == []


def test_tables_and_searches_are_of_these_recipes(tmp_path: Path) -> None:
    for path in TABLES:
        cells = [cell for row in load_table(path).rows for cell in row.cells.values()]
        assert {cell.recipe for cell in cells} | {cell.corpus for cell in cells} <= {None, *RECIPES}, path
    for path in SEARCHES:
        search = load_search(path)
        assert search.recipe in RECIPES, path
        assert search.recipe.stem == path.stem, "a search is found by the name of its recipe"
        assert len({point.recipe.digest() for point in points(search, tmp_path)}) > 1


@pytest.mark.parametrize(
    "path", that_differ({*RECIPES} - {MULTILINGUAL}), ids=lambda path: str(path.relative_to(FOLDER).with_suffix(""))
)
def test_every_recipe_builds_trains_and_predicts(
    path: Path,
    tmp_path: Path,
    tiny_bert: Path,
    corpus: MultimodalCorpus,
    regions: ImageRegionEmbeddings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "WordEmbeddings", tiny_word_vectors)
    recipe = small(load_recipe(path), tiny_bert)
    flair.set_seed(1)
    tagger = build.build_tagger(recipe, corpus, regions if recipe.regions else None)
    fit(tagger, corpus, recipe.training, tmp_path)
    tagger.predict(list(corpus.test), label_name="predicted")
    if isinstance(recipe.model, ModelConfig):
        tagger.save(tmp_path / "model.pt")
        assert type(tagger).load(tmp_path / "model.pt").label_type == recipe.corpus.label_type


def test_the_two_corpora_have_the_same_recipes() -> None:
    for parent in (FOLDER, FOLDER / "offline", FOLDER / "offline_tuned"):
        names = [{path.name for path in (parent / corpus).iterdir()} for corpus in ("twitter_2015", "twitter_2017")]
        assert names[0] == names[1]


def test_words_and_stacks_are_among_them() -> None:
    kinds = {type(load_recipe(path).embeddings) for path in RECIPES}
    assert {Words, Stack} <= kinds


def test_the_multilingual_recipe_learns_over_an_xlm_roberta(
    tiny_xlmr: Path, corpus: MultimodalCorpus, regions: ImageRegionEmbeddings, tmp_path: Path
) -> None:
    recipe = small(load_recipe(MULTILINGUAL), tiny_xlmr)
    tagger = build.build_tagger(recipe, corpus, regions)
    before = [weights.clone() for weights in tagger.parameters()]
    fit(tagger, corpus, recipe.training, tmp_path)
    assert not all(torch.equal(*pair) for pair in zip(before, tagger.parameters(), strict=True))
    tagger.save(tmp_path / "model.pt")
    again = MultimodalTagger.load(tmp_path / "model.pt")
    assert again.embeddings.tokenizer.tokenize("苹果 áo") == ["▁", "苹", "果", "▁", "á", "o"]  # it knows their letters
    again.predict(list(corpus.test)[:2], label_name="predicted")


@pytest.fixture
def tiny_xlmr(tmp_path: Path) -> Path:
    """An XLM-R with a piece for each of some letters, as SentencePiece marks them, of three scripts."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzá苹果", "<mask>"]
    model = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=3))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = XLMRobertaTokenizerFast(tokenizer_object=model, model_max_length=128)
    config = XLMRobertaConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=130,
    )
    for part in (tokenizer, XLMRobertaModel(config)):
        part.save_pretrained(tmp_path / "xlmr")
    return tmp_path / "xlmr"


def test_word_vectors_that_are_not_there_are_named(corpus: MultimodalCorpus) -> None:
    section = load_recipe(
        FOLDER / "offline/twitter_2017/bilstm_crf.yaml", ["embeddings.vectors=nowhere.bin"]
    ).embeddings
    with pytest.raises(ConfigurationError, match=r"^embeddings\.vectors, nowhere\.bin: "):
        build.build_embeddings(section, corpus)


def test_labels_of_objects_are_those_of_the_training_posts_which_must_have_some(
    tiny_bert: Path, corpus: MultimodalCorpus, regions: ImageRegionEmbeddings
) -> None:
    recipe = small(load_recipe(FOLDER / "twitter_2017" / "mgcmt.yaml"), tiny_bert)
    assert build.build_tagger(recipe, corpus, regions).config.object_labels == ("person",)
    (post,) = (post for post in corpus.train if post.has_metadata(OBJECTS))
    objects = post.get_metadata(OBJECTS)
    remove_metadata(post, OBJECTS)
    with pytest.raises(ConfigurationError, match=r"reads objects in pictures.*corpus\.objects"):
        build.build_tagger(recipe, corpus, regions)
    post.add_metadata(OBJECTS, objects)
