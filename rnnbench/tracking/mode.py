"""Whether a run is mirrored offline, online or not at all, and whether there is a key for online."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

from rnnbench.errors import UserError

MODES = ("offline", "online", "disabled")


def mode_from_environment(asked: str | None) -> str:
    """offline, online or disabled: what was asked for, else WANDB_MODE, else offline.

    Raises:
        UserError: Something else was asked for.
    """
    if asked is not None:
        if asked not in MODES:
            raise UserError(f'the wandb mode must be one of {", ".join(MODES)}, got "{asked}".')
        return asked
    found = os.environ.get("WANDB_MODE", "")
    return found if found in MODES else "offline"


def server() -> str:
    """The address of the W&B server: WANDB_BASE_URL, else what `wandb login --host` has kept, else W&B's own."""
    if found := os.environ.get("WANDB_BASE_URL"):
        return found.rstrip("/")
    from wandb.sdk import wandb_setup

    return str(wandb_setup.singleton().settings.base_url).rstrip("/")  # wandb.Settings() reads no file


def has_key() -> bool:
    """Whether wandb would find an API key without asking for one: in the environment, or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(server()).netloc
    for path in (os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"):
        try:
            if path and netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
