"""The `--device` of the commands that compute."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def chosen_device(name: str | None) -> "torch.device":
    """Return the device of that name, or Flair's own for none.

    Raises:
        ConfigurationError: there is no such device here; the name alone does not tell.
    """
    import flair
    import torch

    from flair_espvr.errors import ConfigurationError

    if name is None:
        return flair.device
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(f"--device {name}: {error}") from error
    return device
