"""From a recipe to its corpus, its tagger and a trained model."""

from collections.abc import Sequence
from pathlib import Path

import flair
from flair.data import Corpus, Sentence
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin
from tqdm import tqdm

from flair_espvr.data import MultimodalCorpus
from flair_espvr.embeddings import CaptionedTransformerEmbeddings, ImageRegionEmbeddings
from flair_espvr.files import resolve_packaged
from flair_espvr.models import ESPVRTagger
from flair_espvr.training.recipe import CorpusSection, EmbeddingsSection, Recipe, RegionsSection


def build_corpus(section: CorpusSection) -> MultimodalCorpus:
    """The recipe's posts."""
    return MultimodalCorpus(
        section.folder,
        images=section.images,
        captions=section.captions,
        label_type=section.label_type,
        label_name_map=section.label_name_map,
    )


def build_embeddings(section: EmbeddingsSection) -> CaptionedTransformerEmbeddings:
    """The recipe's word vectors."""
    return CaptionedTransformerEmbeddings(
        resolve_packaged(section.model), use_caption=section.use_caption, max_caption_tokens=section.max_caption_tokens
    )


def build_regions(section: RegionsSection) -> ImageRegionEmbeddings:
    """The recipe's picture regions."""
    return ImageRegionEmbeddings(
        section.model,
        image_size=section.image_size,
        checkpoint=None if section.checkpoint is None else resolve_packaged(section.checkpoint),
        store=section.store,
    )


def encode_pictures(sentences: Sequence[Sentence], regions: ImageRegionEmbeddings) -> None:
    """Brings the pictures of these sentences into the store of `regions`, with a progress bar."""
    size = regions.batch_size
    for start in tqdm(range(0, len(sentences), size), f"{'Encoding pictures':<25}", unit="batch", dynamic_ncols=True):
        regions.regions(sentences[start : start + size])


def train(
    recipe: Recipe,
    corpus: Corpus[Sentence],
    regions: ImageRegionEmbeddings | None,
    folder: Path,
    *,
    seed: int,
    plugins: tuple[TrainerPlugin, ...] = (),
) -> ESPVRTagger:
    """Fine-tunes the recipe's model once.

    Args:
        recipe: what to build and how to train it.
        corpus: its posts; several runs may share them.
        regions: its picture regions; None trains on text alone.
        folder: where Flair puts its files.
        seed: of all random numbers.
        plugins: of Flair's trainer, fresh ones for each run.
    """
    flair.set_seed(seed)
    label_type = recipe.corpus.label_type
    arguments = recipe.model.model_dump(exclude={"type"})
    tagger = ESPVRTagger(
        build_embeddings(recipe.embeddings),
        corpus.make_label_dictionary(label_type, add_unk=False),
        label_type,
        region_embeddings=regions,
        **arguments,
    )
    ModelTrainer(tagger, corpus).fine_tune(
        folder,
        plugins=list(plugins),
        save_final_model=False,
        create_file_logs=False,
        create_loss_file=False,
        **recipe.training.model_dump(),
    )
    return tagger
