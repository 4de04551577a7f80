"""One run of a recipe: its folder, its evaluation, its files and pictures."""
