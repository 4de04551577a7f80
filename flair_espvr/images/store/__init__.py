"""The region store: features of images on disk, computed once."""
