"""What people ask of the data before they train on it: which there are, and what one looks like."""

from __future__ import annotations

import importlib.util
from typing import Any

from rnnbench.config import DataConfig
from rnnbench.data.catalog import DATASETS, entry


def listing() -> list[dict[str, Any]]:
    """Every data set's name, kind, shape, summary, licence, origin, and whether it is ``here``; needs no torch."""
    return [
        {
            "name": item.name,
            "kind": item.kind,
            "shape": item.shape,
            "summary": item.summary,
            "licence": item.licence,
            "origin": item.origin,
            "here": item.package is None or importlib.util.find_spec(item.package) is not None,
        }
        for item in DATASETS.values()
    ]


def info(data: DataConfig) -> dict[str, Any]:
    """One data set: what the catalogue says, its fingerprint, sizes, statistics, a sample, and the reference lines.

    Raises:
        UserError: It is unknown, missing or unfit for the configuration's seq_len, batch_size and horizon.
    """
    from rnnbench.data.load import load

    item, source = entry(str(data.name)), load(data)
    return {
        "name": data.label,
        "kind": item.kind,
        "summary": item.summary,
        "licence": item.licence,
        "origin": data.path or item.origin,
        "fingerprint": source.fingerprint,
        **source.facts(),
        "references": source.references(),
    }
