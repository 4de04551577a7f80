"""From sentences to vectors: words (with captions) and picture regions."""

from flair_espvr.embeddings.image.regions import ImageRegionEmbeddings
from flair_espvr.embeddings.text.captioned_transformer import CaptionedTransformerEmbeddings
from flair_espvr.embeddings.text.characters import CharacterCNNEmbeddings, CharacterLSTMEmbeddings

__all__ = [
    "CaptionedTransformerEmbeddings",
    "CharacterCNNEmbeddings",
    "CharacterLSTMEmbeddings",
    "ImageRegionEmbeddings",
]
