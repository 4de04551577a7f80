"""Words (and what is said about the image) as vectors."""
