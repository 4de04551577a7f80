"""What becomes of predictions: files, tests of significance, tables, charts."""
