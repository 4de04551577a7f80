"""Training runs around Flair's `ModelTrainer`."""
