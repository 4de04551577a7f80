"""Scores of predicted entities, and what they are worth."""
