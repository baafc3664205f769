"""Whether a run is mirrored offline, online or not at all, and whether there is a key for online."""

from __future__ import annotations

import netrc
import os
import re
import shutil
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from rnnbench.errors import UserError

MODES = ("offline", "online", "disabled")
Mode = Literal["online", "offline"]


def mode_from_environment(asked: str | None) -> str:
    """offline, online or disabled: what was asked for, else WANDB_MODE, else offline.

    Raises:
        UserError: Something else was asked for.
    """
    if asked is not None:
        if asked not in MODES:
            raise UserError(f'the wandb mode must be one of {", ".join(MODES)}, got "{asked}".')
        return asked
    mode = os.environ.get("WANDB_MODE", "")
    return mode if mode in MODES else "offline"


def server() -> str:
    """The address of the W&B server: WANDB_BASE_URL, else what `wandb login --host` has kept, else W&B's own."""
    if address := os.environ.get("WANDB_BASE_URL"):
        return address.rstrip("/")
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


#: Seconds that wandb may take to reach its server, and to hand over what is left at the end.
INIT_SECONDS, FINISH_SECONDS = 10.0, 30.0

#: Set by the first attempt that fails: the process's later runs do not wait for the server again.
_out_of_reach = False


def out_of_reach() -> bool:
    """Has this process found the server out of reach?"""
    return _out_of_reach


def open_run(folder: Path, run_id: str, config: dict[str, Any], mode: str, project: str, about: dict[str, Any]) -> Any:
    """A live W&B run, or None when disabled."""
    global _out_of_reach
    if mode == "disabled":
        return None
    os.environ.setdefault("WANDB_SILENT", "true")  # Settings(silent=True) comes too late for the log-in's words
    remove_earlier(folder, run_id)
    if mode == "online" and not _out_of_reach:
        try:
            if has_key():
                return _init(folder, run_id, config, "online", project, about)
            reason = "finds no API key, see `wandb login`"
        except Exception as error:
            reason = f"is out of reach, {one_line(error)}"
            import wandb

            wandb.teardown(exit_code=1)  # its service keeps trying, and holds the id, which the offline run needs
            remove_earlier(folder, run_id)
        _out_of_reach = True
        say(f"wandb {reason}; going on offline, later `wandb sync {folder / 'wandb'}/offline-run-*` uploads it.")
    return _init(folder, run_id, config, "offline", project, about)


def _safe(run_id: str) -> str:
    """The id in W&B's alphabet and length; the hash that makes it unique stands at the end."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_id)[-64:]


def remove_earlier(folder: Path, run_id: str) -> None:
    """Delete what an unfinished attempt at the same run, or the run itself, has left in its study's folder."""
    for earlier in (folder / "wandb").glob(f"*run-*-{_safe(run_id)}"):
        shutil.rmtree(earlier, ignore_errors=True)


def _init(folder: Path, run_id: str, config: dict[str, Any], mode: Mode, project: str, about: dict[str, Any]) -> Any:
    import wandb

    if mode == "offline":  # else its report of its own use is sent, and waited for, where WANDB_MODE says online
        with suppress(Exception):  # not in every version of wandb, and not in the same place
            from wandb.analytics.opentelemetry import opentelemetry_proxy

            opentelemetry_proxy.disable()
    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        x_transaction_log_flush_interval=0.2,  # a killed run loses a fifth of a second, not 15 s
        init_timeout=INIT_SECONDS,
        login_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
    )
    os.environ.update({name: str(folder / "wandb" / name.lower()) for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")})
    where: dict[str, Any] = {"dir": folder, "id": _safe(run_id), "project": project, "mode": mode}
    run = wandb.init(**where, config=config, reinit="create_new", settings=settings, **about)
    run.define_metric("*", step_metric="step")
    return run


def one_line(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 140, placeholder=" …")


def say(text: str) -> None:
    print(f"rnnbench: {text}", file=sys.stderr)
