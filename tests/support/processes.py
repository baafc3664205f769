"""Processes looked up in /proc: whose children they are, and whether they live. Linux alone has that."""

from __future__ import annotations

from pathlib import Path


def children() -> tuple[dict[int, list[int]], dict[int, str]]:
    """Living processes below each process, and when each of them was started."""
    below: dict[int, list[int]] = {}
    starts: dict[int, str] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            below.setdefault(int(fields[1]), []).append(int(path.parent.name))
            starts[int(path.parent.name)] = fields[19]
    return below, starts


def descendants(pid: int) -> dict[int, str]:
    """Process ids below one, each with its start time, which tells it from a later process of the same id."""
    below, starts = children()
    found, waiting = {}, [pid]
    while waiting:
        for child in below.get(waiting.pop(), []):
            found[child] = starts[child]
            waiting.append(child)
    return found


def alive(processes: dict[int, str]) -> list[int]:
    """Those of some `descendants` that still live."""
    _, starts = children()
    return [pid for pid, start in processes.items() if starts.get(pid) == start]
