"""From seconds to the figures of a timing: medians, ratios, rates, and the share of what the hardware can do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rnnbench.config.timing import Timing
from rnnbench.intervals import speed_up
from rnnbench.throughput.contestant import PARTS
from rnnbench.throughput.cost import Ceilings, Work

#: Ends the name of a part whose seconds are the processor's.
CPU = "_cpu"
Samples = Mapping[str, NDArray[np.float64]]


def figures(
    samples: Samples, job: Timing, works: Mapping[str, Mapping[str, Work]], ceilings: Ceilings
) -> dict[str, float]:
    """All figures of all contestants.

    Args:
        samples: Seconds, by CELL/BACKEND/PART; and ``ceiling/gemm`` and ``ceiling/copy``.
        job: What was timed.
        works: `work_of` each cell, by its label.
        ceilings: What the ceilings' seconds were taken on.
    """
    ceiling = ceilings.ceiling(*(float(np.median(samples[f"ceiling/{name}"])) for name in Ceilings.PARTS))
    out = {
        "gemm_flops_per_second": ceiling.gemm,
        "copy_bytes_per_second": ceiling.copy,
        "step_flops_per_second": ceiling.step,
    }
    main = PARTS[job.what][-1]
    for cell in job.cells:
        for name in (key.rpartition("/")[0] for key in samples if key.endswith(f"/{main}")):
            if name.rpartition("/")[0] != cell.label:
                continue
            own = {key.rpartition("/")[2]: value for key, value in samples.items() if key.rpartition("/")[0] == name}
            found = times(own)
            found["tokens_per_second"] = 1e3 * job.tokens / found[f"{main}_ms"]
            if (loop := samples.get(f"{cell.label}/loop/{main}")) is not None:
                found["speedup"], found["speedup_low"], found["speedup_high"] = speed_up(loop, own[main])
            for what, work in works[cell.label].items():
                floor = 1e3 * work.floor(ceiling)
                found |= {f"{what}_flops": work.flops / job.tokens, f"{what}_bytes": work.bytes / job.tokens}
                found |= {f"{what}_floor_ms": floor, f"{what}_share": floor / found[f"{what}_ms"]}
                if work.sequential:
                    looped = 1e3 * work.loop_floor(ceiling)
                    found |= {f"{what}_loop_floor_ms": looped, f"{what}_loop_share": looped / found[f"{what}_ms"]}
            out |= {f"{name}/{key}": value for key, value in found.items()}
    return out


def times(samples: Samples) -> dict[str, float]:
    """PART_ms and PART_iqr_ms of seconds by part: median and interquartile range; of the processor PART_cpu_ms."""
    out: dict[str, float] = {}
    for part, seconds in samples.items():
        if part.endswith(CPU):
            out[f"{part}_ms"] = 1e3 * float(np.median(seconds))
            continue
        low, middle, high = np.percentile(1e3 * seconds, [25, 50, 75])
        out |= {f"{part}_ms": float(middle), f"{part}_iqr_ms": float(high - low)}
    return out
