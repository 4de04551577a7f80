"""A folder of tagged posts, a file for each block: whoever tags a block writes its file, and a block is done once.

    manifest.json      what the posts were tagged with; when all is done, also the counts and the files in order
    shards/NAME.jsonl  the tagged posts of a block, whole or not there
    notes/NAME.json    its counts, its bad pictures and bad posts; written before the shard

One after the other by name, the shards are the file that one process would have written, or Parquet files of its rows.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flair_espvr.data.formats.parquet import tagged_as_parquet
from flair_espvr.errors import ConfigurationError
from flair_espvr.images.bad_images import BadImages
from flair_espvr.io.atomic import atomic_write, write_text
from flair_espvr.io.locks import LockedError, ProcessLock
from flair_espvr.io.spooled import SpooledLines
from flair_espvr.tagging.outputs import column_predictions, jsonl_predictions
from flair_espvr.tagging.stream import PostTagging

SUFFIXES = {"jsonl": ".jsonl", "columns": ".txt", "parquet": ".parquet"}
"""By format, the suffix of a shard."""

_LOCK = ".lock"

_TO_BYTES: dict[str, Callable[..., bytes]] = {"columns": column_predictions}
"""By format, what a window of tagged posts becomes; JSONL, or what is made of it, by default."""


@dataclass
class Totals:
    """What all blocks together have come to; the names are those of `PostTagging`."""

    posts: int = 0
    entities: int = 0
    images: int = 0
    bad_images: BadImages = field(default_factory=BadImages)
    bad_posts: SpooledLines = field(default_factory=SpooledLines)

    def add(self, note: Mapping[str, Any]) -> None:
        """Add a block's note."""
        self.posts += note["posts"]
        self.entities += note["entities"]
        self.images += note["pictures"]
        for bad in note["bad_pictures"]:
            self.bad_images.add(bad["picture"], bad["reason"])
        for bad in note["bad_posts"]:
            self.bad_posts.add(bad)


@dataclass(frozen=True)
class Shards:
    """The places in a folder of shards.

    Attributes:
        folder: The folder.
        format: `"jsonl"`, `"columns"` or `"parquet"`.
    """

    folder: Path
    format: str = "jsonl"

    @property
    def manifest(self) -> Path:
        """What it was made with."""
        return self.folder / "manifest.json"

    def shard(self, name: str) -> Path:
        """Return the tagged posts of the block of this name."""
        return self.folder / "shards" / f"{name}{SUFFIXES[self.format]}"

    def note(self, name: str) -> Path:
        """Return what is to be known of the block of this name."""
        return self.folder / "notes" / f"{name}.json"

    def begin(self, settings: Mapping[str, Any]) -> ProcessLock:
        """Make the folder, or take it up again; the lock keeps others out until it is released.

        Args:
            settings: All that the output depends on besides the posts, as JSON values.

        Raises:
            ConfigurationError: Another process is writing to the folder, it was begun with other settings, or it is
                something else's.
            OSError: It cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.manifest.exists() and any(path.name != _LOCK for path in self.folder.iterdir()):
            raise ConfigurationError(f"{self.folder}: holds something else; write to a new folder, or an empty one")
        try:
            lock = ProcessLock(self.folder / _LOCK)
        except LockedError as error:
            raise ConfigurationError(f"{self.folder}: another process ({error}) is writing to this folder") from None
        try:
            self._claim(json.loads(json.dumps(settings)))
            for path in (self.shard(""), self.note("")):
                path.parent.mkdir(exist_ok=True)
        except BaseException:
            lock.release()
            raise
        return lock

    def write(self, name: str, tagging: PostTagging, more_bad: Callable[[], Iterable[tuple[str, str]]]) -> None:
        """Tag the posts of a block and write its files; who does it again, or at the same time, writes the same.

        Args:
            name: The block's.
            tagging: Its posts on their way through a tagger.
            more_bad: Called at the end for images that the tagger never saw, and what is wrong with them.
        """
        with atomic_write(self.shard(name)) as file:
            to_bytes = _TO_BYTES.get(self.format, jsonl_predictions)
            windows = (to_bytes(window, label_type=tagging.label_type) for window in tagging.windows())
            if self.format == "parquet":
                file.write(tagged_as_parquet(b"".join(windows)))
            else:
                file.writelines(windows)
            for picture, reason in more_bad():
                tagging.bad_images.add(picture, reason)
            note = {
                "posts": tagging.posts,
                "entities": tagging.entities,
                "pictures": tagging.images,
                "bad_pictures": [json.loads(line) for line in tagging.bad_images.lines()],
                "bad_posts": [json.loads(line) for line in tagging.bad_posts.lines()],
            }
            write_text(self.note(name), json.dumps(note))

    def finish(self, names: Sequence[str], settings: Mapping[str, Any]) -> Totals:
        """Write the manifest of a folder in which every block is done, and remove what belongs to none.

        Args:
            names: Those of all blocks, in order.
            settings: Those that it was begun with.

        Raises:
            ConfigurationError: A note is damaged.
        """
        totals, files = Totals(), []
        for name in names:
            try:
                note = json.loads(self.note(name).read_text(encoding="utf-8"))
                totals.add(note)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigurationError(
                    f"{self.note(name)}: is damaged ({error!r}); remove {self.shard(name)} and give the command again"
                ) from error
            files.append({"file": self.shard(name).relative_to(self.folder).as_posix(), "posts": note["posts"]})
        counts = {"posts": totals.posts, "entities": totals.entities, "pictures": totals.images}
        bad = {"bad_pictures": len(totals.bad_images), "bad_posts": len(totals.bad_posts)}
        content = {"complete": True, "settings": settings, **counts, **bad, "shards": files}
        write_text(self.manifest, json.dumps(content, indent=1, ensure_ascii=False))
        known = {path for name in names for path in (self.shard(name), self.note(name))}
        for part in (self.shard("").parent, self.note("").parent):
            for path in part.iterdir():
                if path not in known:
                    path.unlink(missing_ok=True)
        return totals

    def _claim(self, settings: dict[str, Any]) -> None:
        try:
            found = json.loads(self.manifest.read_text(encoding="utf-8"))["settings"]
        except FileNotFoundError:
            write_text(self.manifest, json.dumps({"complete": False, "settings": settings}, ensure_ascii=False))
            return
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{self.manifest}: is no manifest of tagged posts ({error!r})") from None
        if found != settings:
            names = ", ".join(name for name in {**found, **settings} if found.get(name) != settings.get(name))
            raise ConfigurationError(
                f"{self.folder}: was begun with other settings ({names} differ); write to another folder, or remove "
                "this one to begin anew"
            )
