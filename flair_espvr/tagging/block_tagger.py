"""Tagging blocks of posts wherever there is a processor: what to tag, with what and how, and the process that does."""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flair
import torch
from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.download import sha256_of
from flair_espvr.models.loading import load_tagger, read_store, tagger_digest
from flair_espvr.tagging.blocks import Block, block_posts, blocks_of
from flair_espvr.tagging.shards import Shards
from flair_espvr.tagging.sources import STDIN, PostFile, post_files_from
from flair_espvr.tagging.stream import PostTagging, window_size

WINDOWS = 8
"""Windows in a block: at 32 posts a batch 4,096 posts, which is what a dead worker costs, and a file's length."""


@dataclass(frozen=True)
class TaggingJob:
    """Posts to be tagged into a folder of shards. Paths mean the same to every process: they share a file system.

    Attributes:
        model: A model file, or a folder of `save_pretrained`.
        inputs: Files and folders of posts; with `images`, `contexts` and `images_below` see `post_files_from`.
        out: The folder to write.
        format: `"jsonl"`, `"columns"` or `"parquet"`.
        batch_size, amp, min_score: See `tag_posts`.
        keep_bad: Put malformed posts aside in place of stopping.
        store: The region store to read, in place of the model's own.
        trusted: See `load_tagger`.
        device: Where to compute; None for Flair's choice.
        windows: Windows of 16 batches in a block.
        working_folder: What relative paths are relative to.
    """

    model: Path
    inputs: tuple[str, ...]
    out: Path
    format: str = "jsonl"
    images: Path | None = None
    contexts: Mapping[str, Path] = field(default_factory=dict)
    images_below: Path | None = None
    batch_size: int = 32
    amp: bool = False
    min_score: float = 0.0
    keep_bad: bool = False
    store: Path | None = None
    trusted: bool = False
    device: str | None = None
    windows: int = WINDOWS
    working_folder: Path = field(default_factory=Path.cwd)

    @property
    def shards(self) -> Shards:
        """Where the output goes."""
        return Shards(self.out, self.format)

    def settings(self) -> dict[str, Any]:
        """All that the output depends on besides the posts, as JSON values.

        Raises:
            OSError: A file is not there.
        """
        return {
            "model": tagger_digest(self.model),
            "inputs": list(self.inputs),
            "images": None if self.images is None else str(self.images),
            "contexts": {key: sha256_of(path) for key, path in self.contexts.items()},
            "images_below": None if self.images_below is None else str(self.images_below.resolve()),
            "format": self.format,
            "batch_size": self.batch_size,
            "windows": self.windows,
            "amp": self.amp,
            "min_score": self.min_score,
        }

    def blocks(self) -> Iterator[Block]:
        """Return the blocks of the posts, as they are found.

        Raises:
            ConfigurationError: An input is standard input or another pipe, which cannot be read from several places.
            EspvrError, OSError: An input is not there, or none.
        """
        files, _ = self.post_files()
        for file in files:
            if file.path == STDIN or not file.path.is_file():
                raise ConfigurationError(f"{file.path}: expected a file, which several processes can read")
        return blocks_of(files, self.windows * window_size(self.batch_size))

    def post_files(self) -> tuple[list[PostFile], Any]:
        """Return the files of the posts, and the folders in which their pictures are looked up.

        See `post_files_from`.
        """
        return post_files_from(self.inputs, images=self.images, contexts=self.contexts, images_below=self.images_below)


class BlockTagger:
    """Tags one block after the other: one of any number of processes on any number of machines.

    Args:
        job: What to tag, with what and how.
    """

    def __init__(self, job: TaggingJob) -> None:
        self._job = job
        self._tagger: Classifier[Sentence]

    def load(self) -> None:
        """Load the model, once.

        Raises:
            EspvrError, OSError: The model, or a file that every process reads, is not there or not as it should be.
        """
        job = self._job
        os.chdir(job.working_folder)
        logging.getLogger("flair").setLevel(logging.ERROR)  # what cannot be read is in the notes
        if job.device is not None:
            flair.device = torch.device(job.device)
        self._tagger = load_tagger(job.model, trusted=job.trusted)
        if job.store is not None:
            read_store(self._tagger, job.store)
        self._files, self._folders = job.post_files()

    def tag(self, block: Block) -> None:
        """Tag a block and write its shard; nothing is left to do where that is there.

        Raises:
            EspvrError: A post cannot be read, or its image's regions cannot be computed at all.
            OSError: The shard cannot be written.
        """
        job = self._job
        if job.shards.shard(block.name).exists():
            return
        posts = block_posts(block, self._files, keep_bad=job.keep_bad)
        tagging = PostTagging(
            self._tagger,
            posts,
            batch_size=job.batch_size,
            amp=job.amp,
            min_score=job.min_score,
            keep_bad=job.keep_bad,
        )
        job.shards.write(block.name, tagging, self._not_images)

    def _not_images(self) -> Iterator[tuple[str, str]]:
        """Yield what was named like an image and is none, since it was asked last."""
        for folder in self._folders:
            yield from ((str(path), "is no picture") for path in sorted(folder.not_images))
            folder.not_images.clear()
