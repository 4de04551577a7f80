"""Layers: one brick a file, none of which knows a model."""
