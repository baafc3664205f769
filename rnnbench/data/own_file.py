"""Files of the user's: whatever is wrong with one is a `UserError` of one sentence."""

from __future__ import annotations

import stat
from pathlib import Path

from rnnbench.errors import UserError


def read_file(path: str) -> bytes:
    """The content of a regular file that is not empty."""
    try:
        file = Path(path).expanduser()
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise UserError(f"data.path {path!r} is {what}; name one file.")
        data = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"data.path {path!r} does not exist; name a file that does.") from None
    except PermissionError:
        raise UserError(f"data.path {path!r} may not be read (permission denied); change its mode.") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"data.path {path!r} cannot be read ({reason}); name another file.") from None
    if not data.strip():
        raise UserError(f"data.path {path!r} is empty; name a file with content.")
    return data


def decoded(path: str, data: bytes) -> str:
    """The text of a UTF-8 file's content."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"data.path {path!r} is not UTF-8 text: byte {data[error.start]:#04x} at offset {error.start}; convert it."
        ) from None
