"""Reading and describing posts: column files, JSONL, captions, pictures by id, corpora.

Names are imported on first use: processes that only read pictures start without Flair, which takes seconds.
"""

from typing import TYPE_CHECKING

from flair_espvr.lazy import lazy_names

if TYPE_CHECKING:
    from flair_espvr.data.corpora import POSTS, MultimodalCorpus, SplitSummary
    from flair_espvr.data.formats.captions import read_captions
    from flair_espvr.data.formats.columns import read_posts, write_posts
    from flair_espvr.data.formats.jsonl import read_jsonl_posts
    from flair_espvr.data.formats.jsonl_sentences import read_jsonl_sentences, write_jsonl_posts
    from flair_espvr.data.formats.objects import read_objects
    from flair_espvr.data.gmner import TWITTER_GMNER
    from flair_espvr.data.metadata import CAPTION, IMAGE, IMAGE_ERROR, IMAGE_ID, OBJECTS, metadata_or_none
    from flair_espvr.data.picture_object import PictureObject
    from flair_espvr.data.post import Post
    from flair_espvr.data.region import Region
    from flair_espvr.data.twitter import TWITTER_2015, TWITTER_2017

_HOMES = {
    "CAPTION": "metadata",
    "IMAGE": "metadata",
    "IMAGE_ERROR": "metadata",
    "IMAGE_ID": "metadata",
    "OBJECTS": "metadata",
    "POSTS": "corpora",
    "TWITTER_2015": "twitter",
    "TWITTER_2017": "twitter",
    "TWITTER_GMNER": "gmner",
    "MultimodalCorpus": "corpora",
    "PictureObject": "picture_object",
    "Post": "post",
    "Region": "region",
    "SplitSummary": "corpora",
    "metadata_or_none": "metadata",
    "read_captions": "formats.captions",
    "read_jsonl_posts": "formats.jsonl",
    "read_jsonl_sentences": "formats.jsonl_sentences",
    "read_objects": "formats.objects",
    "read_posts": "formats.columns",
    "write_jsonl_posts": "formats.jsonl_sentences",
    "write_posts": "formats.columns",
}

__all__ = [
    "CAPTION",
    "IMAGE",
    "IMAGE_ERROR",
    "IMAGE_ID",
    "OBJECTS",
    "POSTS",
    "TWITTER_2015",
    "TWITTER_2017",
    "TWITTER_GMNER",
    "MultimodalCorpus",
    "PictureObject",
    "Post",
    "Region",
    "SplitSummary",
    "metadata_or_none",
    "read_captions",
    "read_jsonl_posts",
    "read_jsonl_sentences",
    "read_objects",
    "read_posts",
    "write_jsonl_posts",
    "write_posts",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
