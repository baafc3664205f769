"""The one exception a user is meant to read: a sentence that names the value, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input. The command line prints it on one line and exits with status 2, without a traceback."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """' Did you mean "lstm"?' where something known is close, else what is known; both start with a space."""
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    if close:
        return f' Did you mean "{close[0]}"?'
    return f" Known: {', '.join(names)}." if names else ""


def unknown(what: str, wrong: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a table: ``unknown cell "lsmt". Did you mean "lstm"?``"""
    return UserError(f'unknown {what} "{wrong}".{did_you_mean(wrong, known)}')


def told(error: Exception) -> str:
    """An exception on one line: its type, and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
