"""From sentences to vectors: words (with captions) and picture regions."""

from flair_espvr.embeddings.captioned_transformer import CaptionedTransformerEmbeddings
from flair_espvr.embeddings.character_cnn import CharacterCNNEmbeddings
from flair_espvr.embeddings.image_regions import ImageRegionEmbeddings, RegionBatch

__all__ = ["CaptionedTransformerEmbeddings", "CharacterCNNEmbeddings", "ImageRegionEmbeddings", "RegionBatch"]
