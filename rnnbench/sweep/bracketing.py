"""A search for the longest T that a cell can learn over: doubled while it is solved, then bisected on the log scale.

The search is a pure function of the results: it is replayed from its first length on, and asks for the runs of the
first step that has no results yet. So one that was killed resumes, and one that is finished asks for nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Iterable, Iterator, Sequence

from rnnbench.config import Run
from rnnbench.errors import UserError
from rnnbench.probes.solvable import METRIC, SHARE, Bracket, bracket, passed
from rnnbench.sweep.study import Results
from rnnbench.sweep.tuning import at_rate

#: A bracket whose ends are within this ratio is narrow enough.
RATIO = 1.2


def next_length(tried: Bracket, lengths: Sequence[int]) -> int | None:
    """The length to try next, or None where the search is over.

    Args:
        tried: The bracket so far.
        lengths: All that may be tried, rising: those of which whole batches make B·T steps. The search starts at the
            first and does not go beyond the last; its resolution is theirs.
    """
    if not tried.tried:
        return lengths[0]
    if tried.failed is None:
        last = tried.solved or 0
        above = [length for length in lengths if length > last]
        return next((length for length in above if length >= 2 * last), above[-1] if above else None)
    if tried.solved is None or tried.failed <= RATIO * tried.solved:
        return None
    between = [length for length in lengths if tried.solved < length < tried.failed]
    return min(between, key=lambda length: abs(math.log(length / tried.middle)), default=None)


def asked_for(
    first: Iterable[Run],
    results: Results,
    lengths: Sequence[int],
    rates: Sequence[float] = (),
) -> Iterator[Run]:
    """Every run that the searches have asked for by now; those without a result are the next to be done.

    Each group of ``first`` that differs by its seed alone is a search of its own. Its seeds are run together, and the
    batch grows smaller as T grows, so that B·T, and with it the number of updates, stays what it is in ``first``. A
    length is solved where it is at any of the learning rates: they are tried one after the other until one has solved
    it, first the one that solved the last length.

    Args:
        first: A run for each cell, task and seed, at any length.
        results: All so far; ``status`` and ``metrics`` are read.
        lengths: See `next_length`.
        rates: Learning rates; the runs' own where empty.

    Raises:
        UserError: There is no criterion for a data set, or a length does not divide B·T.
    """
    searches: dict[str, list[Run]] = {}
    for run in first:
        searches.setdefault(run.replicates.id, []).append(run)
    for seeds in searches.values():
        data = str(seeds[0].data.name)
        if data not in METRIC:
            raise UserError(f'no longest solvable T is defined on "{data}"; choose one of {", ".join(METRIC)}.')
        tried: dict[int, list[bool]] = {}
        order = list(rates or [seeds[0].optim.lr])
        while (length := next_length(bracket(tried), lengths)) is not None:
            best = yield from _tried([at_length(run, length) for run in seeds], order, results)
            if best is None:
                break
            rate, tried[length] = best
            order.sort(key=lambda other: other != rate)  # stable: the one that did best is tried first from now on


def _tried(
    seeds: Sequence[Run], rates: Sequence[float], results: Results
) -> Generator[Run, None, tuple[float, list[bool]] | None]:
    """Yields the runs of a length rate by rate until one has solved it.

    Returns:
        The rate at which most seeds have passed, and which of them; None where results are missing yet.
    """
    best: tuple[float, list[bool]] | None = None
    for rate in rates:
        runs = [at_rate(run, rate) for run in seeds]
        yield from runs
        if any(run.id not in results for run in runs):
            return None
        flags = [passed(str(run.data.name), results[run.id]["status"], results[run.id]["metrics"]) for run in runs]
        if best is None or sum(flags) > sum(best[1]):
            best = rate, flags
        if sum(flags) >= SHARE * len(flags):
            break
    return best


def at_length(run: Run, seq_len: int) -> Run:
    """The same run over another T, at the same B·T.

    Raises:
        UserError: B·T is no multiple of T.
    """
    steps = run.data.batch_size * run.data.seq_len
    if steps % seq_len:
        raise UserError(f"T = {seq_len} does not divide the {steps} steps of a batch; choose lengths that do.")
    return dataclasses.replace(run, data=dataclasses.replace(run.data, seq_len=seq_len, batch_size=steps // seq_len))
