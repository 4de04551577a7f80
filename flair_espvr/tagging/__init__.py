"""The engine that tags a stream of posts, wherever they come from and go to."""

from flair_espvr.tagging.batcher import DynamicBatcher
from flair_espvr.tagging.pipeline import write_tagged
from flair_espvr.tagging.sources import count_posts, posts_from, single_post
from flair_espvr.tagging.stream import PostTagging, tag_posts

__all__ = ["DynamicBatcher", "PostTagging", "count_posts", "posts_from", "single_post", "tag_posts", "write_tagged"]
