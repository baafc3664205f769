"""Which keys a finished spec refers to, read back from what W&B is sent and not from what it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rnnbench.report.dashboard.panels import Key, Place

_PLACES: dict[str, Place] = {"config": "config", "summary": "summary", "run": "run", "summary_metrics": "summary"}


def references(spec: Mapping[str, Any]) -> frozenset[Key]:
    """Every key in panels, filters, groups, orders and columns of a workspace's or a report's spec.

    Raises:
        ValueError: A kind of panel that this does not know how to read.
    """
    return frozenset(_found(spec))


def panels(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All panels of a spec, in its order."""
    return [node for node in _nodes(spec) if "viewType" in node]


def _found(spec: Mapping[str, Any]) -> Iterator[Key]:
    for node in _nodes(spec):
        if "viewType" in node:
            yield from _of_panel(node["viewType"], node["config"])
        if "runFeed" in node:  # a set of runs
            yield from (_prefixed(column) for column in node["runFeed"]["columnOrder"])
            keys = [item["key"] for item in node["filters"]["filters"]] + node["grouping"]
            keys += [item["key"] for item in node["sort"]["keys"]]
            yield from (_key(key["section"], key["name"]) for key in keys)
        if "settings" in node and "xAxis" in node["settings"]:
            yield _column(node["settings"]["xAxis"])


def _of_panel(kind: str, config: Mapping[str, Any]) -> Iterator[Key]:
    if kind == "Run History Line Plot":
        yield from map(_column, (config["xAxis"], *config["metrics"]))
    elif kind == "Bar Chart":
        yield from (Key("summary", name) for name in config["metrics"])
    elif kind == "Scatter Plot":
        yield from (_prefixed(config[axis]) for axis in ("xAxis", "yAxis"))
    elif kind == "Media Browser":
        yield from (Key("media", name) for name in config["mediaKeys"])
    elif kind == "Vega2":
        arguments = [node for node in _nodes(config) if node.get("name") == "tableKey"]
        yield from (Key("table", node["value"]) for node in arguments)
    else:
        raise ValueError(f'no way to read a panel of the kind "{kind}"')


def _column(name: str) -> Key:
    """Of the history: logged by us, or W&B's own."""
    return Key("run" if name.startswith("_") else "history", name)


def _prefixed(text: str) -> Key:
    """``config:seq_len.value``, ``summary:test/bpc``, ``run:displayName``."""
    place, _, name = text.partition(":")
    return _key(place, name)


def _key(place: str, name: str) -> Key:
    """W&B puts ``.value`` behind the first word of a config key."""
    if place == "config":
        first, _, rest = name.partition(".value")
        name = first + rest
    return Key(_PLACES[place], name)


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping inside."""
    if isinstance(node, Mapping):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)
