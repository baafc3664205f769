"""The files that can be downloaded, as `rnnbench/catalog/downloads.toml` lists them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Download:
    """One file: its name in the cache folder, where it comes from, its size in bytes and its SHA-256 in hexadecimal."""

    name: str
    address: str
    size: int
    sha256: str


#: By name.
FILES = {
    name: Download(name, **facts)
    for name, facts in tomllib.loads(files("rnnbench.catalog").joinpath("downloads.toml").read_text("utf-8")).items()
}


def megabytes(size: int) -> str:
    """``31.3 MB``, ``96 kB``: three digits, decimal units."""
    return f"{size / 1e6:.3g} MB" if size >= 1e6 else f"{size / 1e3:.3g} kB"
