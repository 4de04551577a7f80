"""The engine that tags a stream of posts."""
