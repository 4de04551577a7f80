"""What is added to Flair's trainer: exact resume, a stop at numbers that are none, a progress bar."""
