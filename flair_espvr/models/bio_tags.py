"""Entity types as BIO2 tags and back."""

import logging
from collections.abc import Iterable

from flair_espvr.errors import ConfigurationError

log = logging.getLogger("flair.espvr.models")


class BioTags:
    """The BIO2 tag set over some entity types.

    Attributes:
        types: entity types, in the order of the dictionary.
        names: `["O", "B-<type>", "I-<type>", ...]`; a tag's id is its place here.
    """

    def __init__(self, dictionary_items: Iterable[str]) -> None:
        """Take the types out of a label dictionary's items, which may hold `"<unk>"` and `"O"` as well.

        Raises:
            ConfigurationError: there is no entity type among them.
        """
        self.types = [item for item in dictionary_items if item not in ("<unk>", "O")]
        if not self.types:
            raise ConfigurationError(
                "the label dictionary has no entity type: make it from a corpus with labelled entities, "
                "corpus.make_label_dictionary(label_type)"
            )
        self.names = ["O"] + [f"{prefix}-{type_}" for type_ in self.types for prefix in "BI"]
        self._ids = {name: index for index, name in enumerate(self.names)}
        self._reported: set[str] = set()

    def encode(self, spans: Iterable[tuple[int, int, str]], words: int) -> list[int]:
        """Tag ids of one sentence, padded with `"O"`.

        Of two overlapping spans the first given wins. A type that is not in the tag set stays `"O"` and is reported
        once: it cannot be learnt, and evaluation counts it as missed.

        Args:
            spans: `(start, end, type)` with `end` exclusive.
            words: T, length of the result.
        """
        ids = [0] * words
        for start, end, type_ in spans:
            begin, inside = self._ids.get(f"B-{type_}"), self._ids.get(f"I-{type_}")
            if begin is None or inside is None:
                if type_ not in self._reported:
                    log.warning(
                        "entities of the type %r are not in the label dictionary and count as O in the loss", type_
                    )
                    self._reported.add(type_)
                continue
            if any(ids[start:end]):
                continue
            ids[start:end] = [begin] + [inside] * (end - start - 1)
        return ids
