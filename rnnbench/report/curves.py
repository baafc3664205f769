"""The arrays of runs: each file is opened once, and those read last are kept, up to so many bytes."""

from __future__ import annotations

import re
import sys
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.generic]]

#: Bytes of arrays that are kept: those of some thousand runs on text. A report asks for each many times over.
LIMIT = 256 << 20

#: A whole number with a point, in a cell's label and so in the names of a timing's metrics and curves.
_POINT = re.compile(r"(=-?\d+)\.0(?=[,)])")

#: By path, modification time and size, the one read last at the end: a file that is replaced is read anew.
_kept: OrderedDict[tuple[str, int, int], Arrays] = OrderedDict()
_bytes = 0


def name_now(name: str) -> str:
    """A metric's or curve's name as it is written now: older ledgers have ``lstm(forget_bias=3.0)/loop/step``."""
    return _POINT.sub(r"\1", name)


def arrays(path: Path) -> Arrays:
    """All arrays of an ``.npz`` by name, read-only, nothing unpickled; none of a file that cannot be read.

    That is said on stderr, once.
    """
    global _bytes
    try:
        told = path.stat()
        key = (str(path), told.st_mtime_ns, told.st_size)
    except OSError:
        key = (str(path), 0, 0)
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key]
    found = _kept[key] = _read(path)
    _bytes += _size(found)
    while _bytes > LIMIT and len(_kept) > 1:
        _bytes -= _size(_kept.popitem(last=False)[1])
    return found


def _read(path: Path) -> Arrays:
    import numpy as np

    found: Arrays = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                array = found[name_now(name)] = np.asarray(archive[name])
                array.flags.writeable = False  # it is handed out again and again
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        warn(path, error)
    return found


def warn(path: Path, error: Exception) -> None:
    """One line on stderr on what was left out."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    print(f"rnnbench: skipped {path}: {text}", file=sys.stderr)


def _size(found: Arrays) -> int:
    return sum(array.nbytes for array in found.values())
