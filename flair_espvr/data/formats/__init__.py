"""The files that posts come in: columns, JSONL, captions."""
