"""How an encoder's tokenizer takes posts: words that it does not know, and posts that are longer than it reads.

Only `tokenizer.json` and the settings beside it are read, so that nothing here waits for torch.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from flair_espvr.errors import ConfigurationError

_TOKENIZER, _SETTINGS, _CONFIG = "tokenizer.json", "tokenizer_config.json", "config.json"

MANY = 0.1
"""Share of unknown words from which an encoder hardly knows a language: of English tweets, emoji included, few are."""


@dataclass(frozen=True)
class EncoderFit:
    """What became of some posts in the hands of a tokenizer.

    Attributes:
        words: how many there are.
        unknown: how many of them are, in whole or in part, unknown to it.
        posts: how many there are.
        longer: how many of them have more wordpieces than the encoder reads; words beyond get zero vectors.
        limit: how many it reads, the marks at the borders included; None for any number.
    """

    words: int
    unknown: int
    posts: int
    longer: int
    limit: int | None

    @property
    def unknown_share(self) -> float:
        """Share of the words, 0..1."""
        return self.unknown / self.words if self.words else 0.0

    def problems(self) -> list[str]:
        """Return what is worth a warning, in words."""
        found = []
        if self.unknown_share >= MANY:
            found.append(
                f"{self.unknown_share:.0%} of the words are unknown to the encoder, which does not know this language "
                "or script; take one that does (docs/guides/languages.md)"
            )
        if self.longer:
            found.append(
                f"{self.longer} of {self.posts} posts are longer than the encoder reads ({self.limit} wordpieces); "
                "words beyond are tagged blindly, so cut such posts into shorter ones"
            )
        return found


def sum_of(fits: Iterable[EncoderFit], limit: int | None) -> EncoderFit:
    """Return what became of the posts of all of them."""
    counts = [(fit.words, fit.unknown, fit.posts, fit.longer) for fit in fits] or [(0, 0, 0, 0)]
    words, unknown, posts, longer = map(sum, zip(*counts, strict=True))
    return EncoderFit(words, unknown, posts, longer, limit)


@dataclass(frozen=True)
class EncoderTokenizer:
    """A tokenizer without torch.

    Attributes:
        tokenizer: without truncation and padding.
        unknown: the wordpiece of what it does not know; None for one that knows every byte.
        limit: wordpieces that its encoder reads; None where nobody says.
    """

    tokenizer: Tokenizer
    unknown: str | None
    limit: int | None

    def fit(self, posts: Iterable[Sequence[str]]) -> EncoderFit:
        """Look at posts, given as their words."""
        words = unknown = count = longer = 0
        for post in posts:
            encoding = self.tokenizer.encode(list(post), is_pretokenized=True)
            pieces = zip(encoding.tokens, encoding.word_ids, strict=True)
            words += len(post)
            unknown += len({word for piece, word in pieces if word is not None and piece == self.unknown})
            count += 1
            longer += self.limit is not None and len(encoding) > self.limit
        return EncoderFit(words, unknown, count, longer, self.limit)


def read_tokenizer(model: str) -> EncoderTokenizer:
    """Return the tokenizer of an encoder.

    Args:
        model: a folder, or a name on the hub, as `flair_espvr.io.pretrained.find_model` gives it.

    Raises:
        ConfigurationError: it has no `tokenizer.json`, or a damaged one.
    """
    try:
        path = _file_of(model, _TOKENIZER)
        if path is None:
            raise FileNotFoundError(f"{model} has no {_TOKENIZER}")
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        settings, config = (_settings(_file_of(model, name)) for name in (_SETTINGS, _CONFIG))
    except Exception as error:  # the tokenizers library raises plain exceptions
        raise ConfigurationError(f"{model}: its tokenizer cannot be read ({error})") from None
    unknown = settings.get("unk_token")
    piece = unknown.get("content") if isinstance(unknown, dict) else unknown
    limits = [settings.get("model_max_length"), config.get("max_position_embeddings")]
    known = [limit for limit in limits if isinstance(limit, int) and 0 < limit < 1_000_000]  # "none" is a huge number
    return EncoderTokenizer(tokenizer, piece if isinstance(piece, str) else None, min(known, default=None))


def _file_of(model: str, name: str) -> Path | None:
    if Path(model).is_dir():
        path = Path(model, name)
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import EntryNotFoundError

    try:
        return Path(hf_hub_download(model, name))
    except EntryNotFoundError:
        return None


def _settings(path: Path | None) -> dict[str, object]:
    content = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    return content if isinstance(content, dict) else {}
