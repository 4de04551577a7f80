"""Twitter-2015 and Twitter-2017, the corpora that papers on multimodal NER report on."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import flair

from flair_espvr.data.corpora import MultimodalCorpus, Place
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.download import download, sha256_of

log = logging.getLogger("flair.espvr.data")

# The state of UMT's repository whose files have the hashes below.
UMT_DATA = "https://raw.githubusercontent.com/jefferyYu/UMT/f2e9574abb8f557b1a364692e0bef059512c31de/data"
UMT_PICTURES = "https://drive.google.com/file/d/1PpvvncnQkgDNeBMKVgG2zFYuRhbL873g/view"


class _Twitter(MultimodalCorpus):
    folder: ClassVar[str]
    sha256: ClassVar[Mapping[str, str]]

    def __init__(
        self,
        base_path: str | Path | None = None,
        *,
        images: Place = None,
        captions: Place = None,
        tags: Place = None,
        ocr: Place = None,
        knowledge: Place = None,
        objects: Place = None,
        gold_regions: Place = None,
        label_type: str = "ner",
        label_name_map: Mapping[str, str] | None = None,
        allow_other_edition: bool = False,
    ) -> None:
        if base_path is None:
            data_folder = Path(flair.cache_root) / "datasets" / self.folder
            for file, expected in self.sha256.items():
                if not (data_folder / file).exists():
                    download(f"{UMT_DATA}/{self.folder}/{file}", data_folder / file, sha256=expected)
        else:
            data_folder = Path(base_path)
        edition = self._edition(data_folder, allow_other_edition)
        super().__init__(
            data_folder,
            images=images,
            captions=captions,
            tags=tags,
            ocr=ocr,
            knowledge=knowledge,
            objects=objects,
            gold_regions=gold_regions,
            label_type=label_type,
            label_name_map={"OTHER": "MISC"} if label_name_map is None else label_name_map,
            name=type(self).__name__,
        )
        self.edition = edition
        log.info("%s, edition: %s", self, edition)
        if any(split.pictures == 0 for split in self.summary.values()):
            log.info(
                "%s goes on without pictures; UMT's authors publish them at %s: unpack them into a folder images there",
                self.name,
                UMT_PICTURES,
            )

    def _edition(self, data_folder: Path, allow_other: bool) -> str:
        found = {file: sha256_of(path) for file in self.sha256 if (path := data_folder / file).is_file()}
        if len(found) < len(self.sha256):
            raise ConfigurationError(
                f"{data_folder}: expected {', '.join(self.sha256)}, found {', '.join(found) or 'none of them'}. "
                f"Where no folder is given, {type(self).__name__} is downloaded"
            )
        other = [file for file, digest in found.items() if digest != self.sha256[file]]
        if not other:
            return "UMT (Yu et al., ACL 2020)"
        if not allow_other:
            raise ConfigurationError(
                f"{data_folder}: {', '.join(other)} differ from the edition published with UMT, and scores on "
                f"another edition do not compare with theirs. Remove the files to have them downloaded, where this is "
                f"Flair's cache; or set allow_other_edition to true, and the edition is named by its hashes"
            )
        return "other, SHA-256 " + ", ".join(f"{file} {digest[:12]}" for file, digest in found.items())


class TWITTER_2015(_Twitter):  # noqa: N801  # Flair names corpora so
    """Twitter-2015 (Zhang et al., AAAI 2018) in UMT's edition: 4,000 / 1,000 / 3,257 tweets, types PER, LOC, ORG, MISC.

    Args:
        base_path: a folder with `train.txt`, `valid.txt` and `test.txt`; `None` downloads them once into Flair's cache.
        images: the folder of the tweets' pictures, as for `MultimodalCorpus`; the corpus works without.
        captions: a file of captions by image id, likewise.
        tags: as for `MultimodalCorpus`, like `ocr`, `knowledge` and `objects`.
        ocr: see `tags`.
        knowledge: see `tags`.
        objects: see `tags`.
        gold_regions: as for `MultimodalCorpus`.
        label_type: the annotation layer that gets the entities.
        label_name_map: other names for some types; the files' `OTHER` becomes `MISC` if not given.
        allow_other_edition: whether files with other hashes are accepted. Another edition with corrected labels
            circulates, and its scores do not compare with those on this one.

    Attributes:
        edition: UMT's, or another, named by its hashes.

    Raises:
        ConfigurationError: a file is missing or of another edition.
        EspvrError: a download failed; nothing of it is kept.
    """

    folder = "twitter2015"
    sha256: ClassVar[Mapping[str, str]] = {
        "train.txt": "a6246e37aa1c8acd738747fa8257e01775f2a1cc0d4f36f82f9d41d6246ad6fa",
        "valid.txt": "9dcc7f9df7331de3c9cdf67a3450e041c41c6254b5e43925c576e2dfaaabe2ad",
        "test.txt": "edb2665b89bfe58bca06a2c10b9b31cbfa95456135b6a4cbf55c872e48d9b8f9",
    }


class TWITTER_2017(_Twitter):  # noqa: N801  # Flair names corpora so
    """Twitter-2017 (Lu et al., ACL 2018) in UMT's edition: 3,373 / 723 / 723 tweets, types PER, LOC, ORG, MISC.

    Arguments, attributes and errors are those of `TWITTER_2015`.
    """

    folder = "twitter2017"
    sha256: ClassVar[Mapping[str, str]] = {
        "train.txt": "801e149e8635b19d66b4ec1212c329be340ada501b35c5fa55455fb6f53633be",
        "valid.txt": "41b5db90cb32059c14c2c3ccd50845fb77f1e3d3e4f7d0c210a61bc507d8a73e",
        "test.txt": "a7d9e172ae85bd3e35276eb2b01ce223321bdc92a47b234e24305d72e7a05243",
    }
