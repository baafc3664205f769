"""The IDX files that MNIST comes in (LeCun, Cortes & Burges 1998)."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from rnnbench.data.download import gunzipped
from rnnbench.errors import UserError

#: Bytes that an unpacked file may have: the training pictures have 47 million.
LIMIT = 64 << 20


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """A gzipped IDX file of unsigned bytes.

    Four bytes, 0 0 8 D: unsigned bytes in D dimensions; each dimension's size, 32 bits, the high byte first; the bytes.

    Args:
        path: The .gz file.
        dimensions: D: 3 for pictures, 1 for labels.

    Returns:
        uint8, D-dimensional.

    Raises:
        UserError: The file is damaged, or holds something else.
    """
    data = gunzipped(path, LIMIT)
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, 8, dimensions)):
        raise UserError(
            f"{path} is no IDX file of bytes in {dimensions} dimensions (it starts with {data[:4].hex(' ')!r}, "
            f"expected '00 00 08 {dimensions:02x}'); delete it and it is downloaded again."
        )
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) - header != math.prod(shape):
        raise UserError(
            f"{path} has {len(data) - header:,} bytes after its header, which announces {' × '.join(map(str, shape))}; "
            "delete it and it is downloaded again."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
