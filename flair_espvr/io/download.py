"""Fetching a published file whole, or not at all."""

import hashlib
import logging
from pathlib import Path

import requests

from flair_espvr.errors import EspvrError
from flair_espvr.io.atomic import atomic_write

log = logging.getLogger("flair.espvr.io")

TIMEOUT_SECONDS = 30  # without an answer, or between two pieces of it
CHUNK_BYTES = 1 << 16


def download(url: str, path: Path, *, sha256: str) -> None:
    """Fetch `url` to `path`, which appears only when all of it has arrived and has the expected hash.

    Args:
        url: an http(s) address.
        path: the file to make; its folder is made as needed.
        sha256: the hash in hexadecimal digits.

    Raises:
        EspvrError: the server cannot be reached, answers with an error, breaks off, or sends something else.
    """
    log.info("downloading %s to %s", url, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response, atomic_write(path) as file:
            response.raise_for_status()
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
            if digest.hexdigest() != sha256:
                raise EspvrError(
                    f"{url}: what arrived has SHA-256 {digest.hexdigest()}, expected {sha256}. Nothing was kept; "
                    f"try again, or put the file at {path} yourself"
                )
    except requests.RequestException as error:
        raise EspvrError(
            f"{url}: download failed ({error}). Nothing was kept; try again, or put the file at {path} yourself"
        ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
