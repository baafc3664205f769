"""May these cells be ranked? What has to be the same, or fairly chosen, before a difference is one of the cells.

A cell against itself at another width, or at another learning rate, differs by as much as cells do among themselves. So
without equal weights, and a learning rate that was chosen for each in the same way, a table shows scores and does not
rank: no p, nothing in bold, no order.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, by_place

#: The largest count of matched weights over the smallest: each is within 2 % of what was asked for.
APART = 1.05


def unranked(groups: Sequence[Group]) -> str | None:
    """Why these are not ranked, in a few words; None where they may be, and of a single group.

    groups: What stands beside each other: runs on the same data, at the same length.
    """
    if len({g.series for g in groups}) < 2:
        return None
    # Of a cell that lost runs to errors nothing is said; it is last, and the others may be ranked where there are two.
    several = [g for g in groups if sum(not result.broken for result in g.results) >= 2]
    if len(several) < 2 or any(len(g.results) < 2 for g in groups):
        return "one seed: no ranking"
    if any(g.crossed for g in groups):
        return "seeds of weights and order are crossed: no ranking"
    return _weights(groups) or rates_reason(groups)


def unranked_anywhere(groups: Sequence[Group]) -> str | None:
    """The first reason at any length of any data; None where all may be ranked."""
    return next((reason for block in by_place(groups) if (reason := unranked(block)) is not None), None)


def rates_reason(groups: Sequence[Group]) -> str | None:
    """Why their learning rates do not allow a comparison; None where each was chosen, and all in the same way."""
    results = [result for g in groups for result in g.results]
    tried = set()
    for result in results:
        choice = result.choice
        if choice is None or not result.rate_chosen:
            rates = {one.rate for one in results}
            same = "one learning rate" if len(rates) == 1 else "learning rates not chosen for each"
            return f"{same}: no ranking"
        if choice.get("at_edge"):
            return "a learning rate at the edge of those tried: no ranking"
        tried.add(tuple((one["lr"], one["trials"]) for one in choice["rates"]))
    return "learning rates tried differ: no ranking" if len(tried) > 1 else None


def same_start(one: Result, other: Result) -> bool:
    """Did two runs of one seed begin with the same weights and read the same batches? Then their scores are paired."""

    def decisive(result: Result) -> dict[str, object]:
        return {key: value for key, value in result.run.items() if key not in ("optim", "probes", "device")}

    return decisive(one) == decisive(other) and one.environment.get("data_sha256") == other.environment.get(
        "data_sha256"
    )


def _weights(groups: Sequence[Group]) -> str | None:
    """Of all runs, also those that are not done: a lost run had its weights, and one that was never built has none."""
    counts: list[float] = []
    for g in groups:
        own = [value for r in g.results if (value := r.number("model/matched_parameters")) is not None]
        if g.done and not own:
            return "weights not recorded: no ranking"
        counts += own
    if not counts:
        return None
    if max(counts) > APART * min(counts):
        return f"{_thousands(min(counts))} to {_thousands(max(counts))} weights: no ranking"
    return None


def _thousands(count: float) -> str:
    return f"{count / 1000:.0f} k" if count >= 1000 else f"{count:.0f}"
