"""Which option a file is named by."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnbench.errors import UserError


@contextmanager
def named_by(option: str) -> Iterator[None]:
    """Errors about ``data.path`` are about another option inside, ``data.val_path`` say."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("data.path", option, 1)) from None


def natural(name: str) -> tuple[list[list[str | int]], str]:
    """A key that sorts paths by their folders, numbers in names by their value, and letters of either case alike."""
    parts: list[list[str | int]] = [
        [int(word) if at % 2 else word for at, word in enumerate(re.split(r"(\d+)", part.casefold()))]
        for part in name.replace(os.sep, "/").split("/")
    ]
    return parts, name


def files_in(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Paths below a folder of its files at any depth, in natural order; and those left out, by the reason.

    Left out are what is hidden (its name begins with a dot), links to folders, broken links, second names of a file
    that is there already, and what is no regular file.

    Raises:
        UserError: A folder in it cannot be listed.
    """
    names: list[str] = []
    left_out: dict[str, list[str]] = {}

    def refuse(error: OSError) -> None:
        raise UserError(f"data.path {error.filename!r} cannot be listed ({error.strerror}); move it elsewhere.")

    for place, folders, files in os.walk(folder, onerror=refuse):
        below = os.path.relpath(place, folder)
        for name in (*folders, *files):
            path = name if below == "." else os.path.join(below, name)
            if name.startswith("."):
                left_out.setdefault("hidden", []).append(path)
            elif name in files:
                names.append(path)
            elif (Path(place) / name).is_symlink():
                left_out.setdefault("a link to a folder", []).append(path)
        folders[:] = [name for name in folders if not name.startswith(".")]
    kept: list[str] = []
    seen: dict[tuple[int, int], str] = {}
    for name in sorted(names, key=lambda name: (folder.joinpath(name).is_symlink(), natural(name))):
        file = folder / name
        try:
            status = file.stat()
        except OSError as error:
            left_out.setdefault(f"not to be reached ({error.strerror})", []).append(name)
            continue
        inode = (status.st_dev, status.st_ino)
        if not file.is_file():
            left_out.setdefault("not a regular file", []).append(name)
        elif status.st_ino and inode in seen:
            left_out.setdefault(f"another name of {seen[inode]!r}", []).append(name)
        else:
            seen[inode] = name
            kept.append(name)
    return sorted(kept, key=natural), {reason: sorted(paths, key=natural) for reason, paths in left_out.items()}
