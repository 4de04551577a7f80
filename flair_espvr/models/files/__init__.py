"""What a model is kept in: checkpoint, export, card; read without running code."""
