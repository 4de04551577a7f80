"""From the sections of a recipe to its corpus, its embeddings and its model."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from flair.data import Corpus, Dictionary, Sentence
from flair.embeddings import (
    StackedEmbeddings,
    TokenEmbeddings,
    TransformerWordEmbeddings,
    WordEmbeddings,
)
from flair.models import SequenceTagger
from flair.nn import Classifier
from tqdm import tqdm

from flair_espvr.data import CAPTION, IMAGE, POSTS, TWITTER_2015, TWITTER_2017, MultimodalCorpus
from flair_espvr.data.metadata import OBJECTS, sentence_images
from flair_espvr.data.object_labels import object_labels
from flair_espvr.embeddings import (
    CaptionedTransformerEmbeddings,
    CharacterCNNEmbeddings,
    CharacterLSTMEmbeddings,
    ImageRegionEmbeddings,
)
from flair_espvr.errors import BadImageError, ConfigurationError, MissingFilesError
from flair_espvr.images.loading import load_image
from flair_espvr.io.packaged import resolve_packaged
from flair_espvr.io.pretrained import find_model
from flair_espvr.models.registry import model_class
from flair_espvr.nn.config import ModelConfig, ObjectLabelConfig
from flair_espvr.training.recipes import sections
from flair_espvr.training.recipes.recipe import Recipe

log = logging.getLogger("flair.espvr.training")

_TWITTER = {"twitter_2015": TWITTER_2015, "twitter_2017": TWITTER_2017}


def build_corpus(section: sections.CorpusSection) -> MultimodalCorpus:
    """Return the recipe's posts.

    Raises:
        ConfigurationError: a file or folder is not there, or not of the published edition.
        PostFormatError: a file does not follow its format.
    """
    return _build_corpus(
        section,
        way_out="Name the files in the recipe (corpus.train_file, corpus.dev_file, corpus.test_file), with null for a "
        "split that does not exist",
        random_seed=0,
    )


def build_split(section: sections.CorpusSection, split: Literal["train", "dev", "test"]) -> MultimodalCorpus:
    """Return a corpus that has at least this split, in which files of others may be missing.

    Raises:
        ConfigurationError: a file or folder is not there, or not of the published edition.
        PostFormatError: a file does not follow its format.
    """
    field = f"{split}_file"
    if not isinstance(section, sections.FolderCorpus) or getattr(section, field) is None:
        return build_corpus(section)  # its edition is told by all of its files; a split without file is sampled
    others = {f"{other}_file": None for other in ("train", "dev", "test") if other != split}
    return _build_corpus(
        section.model_copy(update=others),
        way_out=f"Name the file itself in place of its folder, or another: --set corpus.{field}=NAME",
        sample_missing_splits=False,
    )


def _build_corpus(section: sections.CorpusSection, *, way_out: str, **sampling: Any) -> MultimodalCorpus:
    arguments = section.model_dump(exclude={"type", "folder"})
    if isinstance(section, sections.TwitterCorpus):
        return _TWITTER[section.type](section.folder, **arguments)
    kind = POSTS if isinstance(section, sections.PostsCorpus) else MultimodalCorpus
    try:
        return kind(section.folder, **arguments, **sampling)
    except MissingFilesError as error:
        raise MissingFilesError(error.problem, way_out) from None


def build_embeddings(section: sections.EmbeddingsSection, corpus: Corpus[Sentence]) -> TokenEmbeddings:
    """Return the recipe's word vectors.

    Args:
        section: what they are.
        corpus: the posts that they are for: embeddings over characters know those of its training words.

    Raises:
        ConfigurationError: an encoder or a file of vectors cannot be had.
    """
    match section:
        case sections.CaptionedTransformer():
            return CaptionedTransformerEmbeddings(
                section.model,
                contexts=section.contexts,
                use_caption=section.use_caption,
                max_caption_tokens=section.max_caption_tokens,
            )
        case sections.Transformer():
            return TransformerWordEmbeddings(
                find_model(section.model), layers="-1", subtoken_pooling=section.subtoken_pooling, fine_tune=True
            )
        case sections.Words():
            return _word_vectors(section)
        case sections.Characters():
            return CharacterLSTMEmbeddings(alphabet(corpus), **section.model_dump(exclude={"type"}))
        case sections.CharacterCNN():
            return CharacterCNNEmbeddings(alphabet(corpus), **section.model_dump(exclude={"type"}))
        case sections.Stack():
            return StackedEmbeddings([build_embeddings(part, corpus) for part in section.parts])


def _word_vectors(section: sections.Words) -> WordEmbeddings:
    try:
        return WordEmbeddings(resolve_packaged(section.vectors), fine_tune=section.fine_tune)
    except (ImportError, ValueError) as error:  # no gensim; neither a name that Flair knows nor a file
        raise ConfigurationError(f"embeddings.vectors, {section.vectors}: {error}") from error


def build_regions(section: sections.Regions) -> ImageRegionEmbeddings:
    """Return the recipe's picture regions."""
    return ImageRegionEmbeddings(
        section.model,
        image_size=section.image_size,
        stages=section.stages,
        checkpoint=section.checkpoint,
        store=section.store,
    )


def build_tagger(
    recipe: Recipe, corpus: MultimodalCorpus, regions: ImageRegionEmbeddings | None
) -> Classifier[Sentence]:
    """Return the recipe's model, with the weights that training starts from.

    Args:
        recipe: what to build.
        corpus: the posts whose entity types it is to learn.
        regions: its picture regions; None for a model that reads none.

    Raises:
        ConfigurationError: the training posts have no entity, or no caption or readable picture where the recipe asks
            for them.
    """
    require_inputs(recipe, corpus)
    label_type = recipe.corpus.label_type
    dictionary = corpus.make_label_dictionary(label_type, add_unk=False)
    embeddings = build_embeddings(recipe.embeddings, corpus)
    arguments = recipe.model.model_dump()
    kind = arguments.pop("type")
    if isinstance(recipe.model, sections.SequenceTagger):
        return SequenceTagger(embeddings, tag_dictionary=dictionary, tag_type=label_type, **arguments)
    if isinstance(recipe.model, ObjectLabelConfig) and not recipe.model.object_labels:
        arguments["object_labels"] = object_labels(corpus.train or ())
    return model_class(kind)(embeddings, dictionary, label_type, region_embeddings=regions, **arguments)


def encode_images(sentences: Sequence[Sentence], regions: ImageRegionEmbeddings) -> None:
    """Brings the pictures of these sentences into the store of `regions`, with a progress bar."""
    size = regions.batch_size
    for start in tqdm(range(0, len(sentences), size), f"{'Encoding pictures':<25}", unit="batch", dynamic_ncols=True):
        regions.regions(sentences[start : start + size])


def alphabet(corpus: Corpus[Sentence]) -> Dictionary:
    """Return the characters of a corpus's training words, in order of their code points; others are unknown."""
    dictionary = Dictionary(add_unk=True)
    for character in sorted({character for sentence in corpus.train for token in sentence for character in token.text}):
        dictionary.add_item(character)
    return dictionary


def require_inputs(recipe: Recipe, corpus: MultimodalCorpus) -> None:
    """Make sure that what a recipe learns and reads is there: a run without would bear the wrong name.

    Captions of one's own posts are read where there are any; the rows of a published corpus need them.

    Raises:
        ConfigurationError: the training posts have no entity, or no context or readable picture that the recipe reads.
    """
    posts = corpus.train or ()
    if not any(sentence.get_labels(recipe.corpus.label_type) for sentence in posts):
        raise ConfigurationError(f"{corpus.name}: {len(posts)} training posts, and no entity in them to learn from")
    for key in _contexts(recipe.embeddings):
        if _any_has(corpus.train, key):
            continue
        if key == CAPTION and isinstance(recipe.corpus, sections.FolderCorpus):
            log.warning("%s: no post has a caption, so the words are read alone", corpus.name)
            continue
        if key == CAPTION:
            raise ConfigurationError(
                f"{corpus.name}: the recipe reads captions, but no training post has one. Name a file of captions "
                "(corpus.captions; flair-espvr caption writes one), or set embeddings.use_caption to false"
            )
        raise ConfigurationError(
            f"{corpus.name}: the recipe reads the context {key!r}, but no training post has one. Name a file of such "
            f"(corpus.{key}), or take it out of embeddings.contexts"
        )
    if isinstance(recipe.model, ModelConfig) and recipe.model.reads_objects and not _any_has(corpus.train, OBJECTS):
        raise ConfigurationError(
            f"{corpus.name}: the model reads objects in pictures, but no training post has any. Name a file of them "
            "(corpus.objects; flair-espvr objects writes one)"
        )
    if recipe.regions is not None and not _any_has(corpus.train, IMAGE):
        raise ConfigurationError(
            f"{corpus.name}: the recipe reads pictures, but no training post has one. Name their folder "
            "(corpus.images), or take a model that reads none and leave the section regions out"
        )
    if recipe.regions is not None and (problem := _why_none_is_readable(corpus.train)):
        raise ConfigurationError(f"{corpus.name}: no picture of the training posts can be read, for instance {problem}")


def _contexts(section: sections.EmbeddingsSection) -> list[str]:
    """Return what the embeddings read after a post's words."""
    parts = section.parts if isinstance(section, sections.Stack) else (section,)
    transformers = [part for part in parts if isinstance(part, sections.CaptionedTransformer)]
    return [key for part in transformers for key in part.contexts if part.use_caption or key != CAPTION]


def _why_none_is_readable(sentences: Iterable[Sentence]) -> str:
    """Return what is wrong with one of the pictures; empty where one, the first of a sound corpus, can be read."""
    problem = ""
    for image in (image for sentence in sentences for image in sentence_images(sentence)):
        try:
            load_image(image)
        except BadImageError as error:
            problem = problem or str(error)
        else:
            return ""
    return problem


def _any_has(sentences: Iterable[Sentence], key: str) -> bool:
    return any(sentence.has_metadata(key) for sentence in sentences)
