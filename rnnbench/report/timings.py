"""What timing jobs measured, contestant by contestant, and which setting a study of them sweeps. Without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnbench.config import CellConfig
from rnnbench.report.results import Result
from rnnbench.report.statistics import cell_rank

#: A job's settings, under the names that a table's head and a figure give them.
SETTINGS = {
    "seq_len": "T",
    "batch_size": "B",
    "hidden_size": "H",
    "input_size": "I",
    "num_layers": "layers",
    "bidirectional": "bidirectional",
    "dtype": "dtype",
    "device": "device",
    "tokens": "B·T",
}
#: What older results do not say.
DEFAULTS: dict[str, Any] = {"num_layers": 1, "bidirectional": False, "dtype": "float32"}
#: What may be swept, in the order in which a figure's axis is chosen.
SIZES = ("seq_len", "batch_size", "hidden_size", "num_layers")
#: What everybody writes first, in the order of preference: the contestants that others are measured against.
NAIVE = ("plain", "loop")
#: How a refusal begins that tells of a contestant which tried; all others say that it cannot.
TRIED = ("wrong result", "out of memory", "it failed")


@dataclass(frozen=True)
class Timed:
    """One contestant at one size."""

    label: str  # the cell's label
    backend: str | None  # a backend or an external implementation; None where nothing of the cell was timed
    result: Result  # the job
    numbers: Mapping[str, float]  # forward_ms, step_iqr_ms, tokens_per_second, …
    refused: str | None = None  # why it was not timed, though it tried

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Of `SETTINGS`; the input's width only where it is not the hidden one."""
        run, environment = self.result.run, self.result.environment
        out = {name: run.get(name, DEFAULTS.get(name)) for name in SETTINGS}
        if out["input_size"] == out["hidden_size"]:
            out["input_size"] = None
        out["device"] = environment.get("device_name") or environment.get("device")
        return out | {"tokens": run["batch_size"] * run["seq_len"]}

    @property
    def cell(self) -> str:
        """What the cell is called in tables and figures."""
        return self.result.shown.get(self.label, self.label)

    @property
    def decoding(self) -> bool:
        """Whether it wrote symbol after symbol, and did not train."""
        return is_decoding(self.result)

    @property
    def main(self) -> str:
        """What contestants are compared by: the training step, or decode, the latency of a token."""
        return "decode" if self.decoding else "step"

    @property
    def ms(self) -> float | None:
        """The median of `main`, in milliseconds."""
        return self.numbers.get(f"{self.main}_ms")

    @property
    def out_of_memory(self) -> bool:
        """Whether it was refused for its memory."""
        return self.refused is not None and self.refused.startswith("out of memory")

    def samples(self) -> NDArray[np.float64] | None:
        """(samples,) seconds behind `ms`, in the order of the rounds; None where there is no such curve."""
        return self.result.curve(f"{self.label}/{self.backend}/{self.main}")


def is_decoding(result: Result) -> bool:
    """Whether a timing job is of decoding."""
    return result.run.get("what") == "decoding"


def timings(results: Sequence[Result]) -> list[Timed]:
    """Every contestant that was timed or tried, by size, cell and backend, the naive ones first.

    A cell of which nothing was timed, as where its job failed, keeps its place.
    """
    out = []
    for result in results:
        measured: dict[tuple[str, str], dict[str, float]] = {}
        refused: dict[tuple[str, str], str] = {}
        for key, text in result.metrics.items():
            if key.count("/") < 2:
                continue
            cell, backend, what = key.rsplit("/", 2)
            if what == "refused" and str(text).startswith(TRIED):
                refused[cell, backend] = str(text)
                measured.setdefault((cell, backend), {})
            elif (value := result.number(key)) is not None:
                measured.setdefault((cell, backend), {})[what] = value
        for (cell, backend), numbers in measured.items():
            out.append(Timed(cell, backend, result, numbers, refused.get((cell, backend))))
        words = {"oom": "out of memory", "timeout": "took too long"}.get(result.status, "the job failed")
        reason = None if result.done else f"{words}: {result.error or 'no word why'}"
        labels = [CellConfig.parse(cell).label for cell in result.run["cells"]]
        missing = [label for label in labels if label not in {cell for cell, _ in measured}]
        out += [Timed(label, None, result, {}, reason) for label in missing]
    return sorted(out, key=_order)


def _order(one: Timed) -> tuple[Any, ...]:
    sizes = tuple(one.settings[name] for name in SIZES)
    job = (one.settings["dtype"], str(one.settings["device"]))
    return (*sizes, *job, cell_rank(one.cell), backend_rank(one.backend or ""), one.result.id)


def backend_rank(name: str) -> tuple[int, str]:
    """Sorts the naive contestants first, all others by name."""
    return NAIVE.index(name) if name in NAIVE else len(NAIVE), name


def contestant_rank(contestant: str) -> tuple[tuple[int, str], str]:
    """The same of `SweptSetting.contestant`: ``torch, dtype=bfloat16``."""
    return backend_rank(contestant.split(",")[0]), contestant


def differing(timed: Sequence[Timed]) -> list[str]:
    """The settings that are not the same in all jobs, without B·T, which follows from two of them.

    Where a job failed its device may not be known, which is no other device.
    """
    values = {name: {str(one.settings[name]) for one in timed} for name in SETTINGS if name != "tokens"}
    values["device"] -= {"None"}
    return [name for name, known in values.items() if len(known) > 1]


def in_words(name: str, value: Any) -> str:
    """A setting's value as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value is not None else "H" if name == "input_size" else "unknown"


@dataclass(frozen=True)
class SweptSetting:
    """The setting that a study sweeps."""

    name: str  # which, of `SIZES`
    values: tuple[int, ...]  # all its values, in order
    constant_tokens: bool  # whether the batch shrinks as the sequences grow, B·T staying what it is
    extras: tuple[str, ...]  # settings that tell apart several such sweeps in one study

    def of(self, one: Timed) -> int:
        """The swept value of a contestant."""
        return int(one.settings[self.name])

    def contestant(self, one: Timed) -> str:
        """Its backend, and what else tells its sweep from others: ``torch, dtype=bfloat16``."""
        extras = [f"{SETTINGS[name]}={in_words(name, one.settings[name])}" for name in self.extras]
        return ", ".join([str(one.backend), *extras])

    def lines(self, timed: Sequence[Timed]) -> dict[tuple[str, str], list[Timed]]:
        """By cell and contestant what was timed, along the sweep; of two of the same size the one with more samples."""
        best: dict[tuple[str, str, int], Timed] = {}
        for one in sorted(timed, key=lambda one: int(one.result.run.get("samples", 0))):
            if one.ms is not None:
                best[one.cell, self.contestant(one), self.of(one)] = one
        out: dict[tuple[str, str], list[Timed]] = {}
        for key in sorted(best, key=lambda key: (cell_rank(key[0]), contestant_rank(key[1]), key[2])):
            out.setdefault(key[:2], []).append(best[key])
        return out


def sweep(timed: Sequence[Timed]) -> SweptSetting | None:
    """What is swept: a setting such that every size has another that differs from it in that one alone.

    With the length, the batch may shrink at constant B·T. Of several, the one that leaves the longest sweeps. None
    where there is none: one size alone, or many shapes at once. A size at which nothing could be timed counts as well,
    so that a number format that only the smallest size had memory for does not hide the sweep of the others; of the
    swept values there are those at which something was timed.
    """
    devices = {one.settings["device"] for one in timed} - {None}
    sizes: dict[tuple[tuple[str, Any], ...], bool] = {}  # whether something was timed at it
    for one in timed:
        settings = dict(one.settings)
        if settings["device"] is None and len(devices) == 1:  # of a job that failed it is not known
            (settings["device"],) = devices
        key = tuple(settings.items())
        sizes[key] = sizes.get(key, False) or one.ms is not None
    candidates: list[tuple[int, SweptSetting]] = []
    for name, follower in (("seq_len", "tokens"), ("seq_len", "batch_size"), *((name, "tokens") for name in SIZES[1:])):
        blocks: dict[tuple[tuple[str, Any], ...], dict[int, bool]] = {}  # by all other settings, the values of this one
        for size, any_timed in sizes.items():
            rest = tuple((key, value) for key, value in size if key not in (name, follower))
            block, value = blocks.setdefault(rest, {}), dict(size)[name]
            block[value] = block.get(value, False) or any_timed
        blocks = {rest: block for rest, block in blocks.items() if any(block.values())}
        values = tuple(sorted({value for block in blocks.values() for value, any_timed in block.items() if any_timed}))
        if len(values) >= 2 and min(map(len, blocks.values())) >= 2:
            extras = tuple(key for key in SETTINGS if len({repr(dict(rest).get(key)) for rest in blocks}) > 1)
            candidates.append((len(blocks), SweptSetting(name, values, follower == "batch_size", extras)))
    return min(candidates, key=lambda pair: pair[0])[1] if candidates else None
