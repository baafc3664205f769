"""The figures of a throughput study: lines along what it sweeps, rows where there are too many cells or no sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rnnbench.report.figures.roofline import roofline
from rnnbench.report.figures.style import file_name
from rnnbench.report.figures.timing_lines import lines_figure
from rnnbench.report.figures.timing_rows import rows_figure
from rnnbench.report.results import Result
from rnnbench.report.statistics import CROWD
from rnnbench.report.timings import Timed, differing, sweep, timings

#: What a figure's file is called after.
NAMES = {"seq_len": "length", "batch_size": "batch", "hidden_size": "width", "num_layers": "layers"}


def timing_figures(results: Sequence[Result], folder: Path, formats: set[str], suffix: str = "") -> list[Path]:
    """Throughput and memory of training, latency of decoding, whichever a study has; and the roofline of each.

    Each device and number format has figures of its own: together they are a tangle, and they have no common roof.
    """
    found = [one for one in timings(results) if one.backend is not None]
    kinds: dict[tuple[bool, str, str], list[Timed]] = {}
    for one in found:
        key = (one.decoding, str(one.settings["dtype"]), str(one.settings["device"]))
        kinds.setdefault(key, []).append(one)
    written: list[Path] = []
    for (decoding, *kind), own in sorted(kinds.items(), key=lambda item: item[0]):
        if not any(one.ms is not None for one in own):
            continue
        swept, stem = sweep(own), "decoding" if decoding else "timing"
        several = [index for index in (0, 1) if len({names[1:][index] for names in kinds}) > 1]
        end = file_name("".join(f"-{kind[index]}" for index in several)) + suffix
        if swept is not None and len({one.cell for one in own}) < CROWD:
            written += lines_figure(own, swept, folder / f"{stem}_against_{NAMES[swept.name]}{end}", formats)
        else:
            written += rows_figure(own, swept, folder / f"{stem}_ranked{end}", formats)
        if swept is not None or not differing(own):  # under one roof stands one size
            written += roofline(own, folder / f"{stem}_roofline{end}", formats)
    return written
