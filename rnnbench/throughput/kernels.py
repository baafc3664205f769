"""Which code ran, as the profiler names it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

#: Names that are kept, those that take longest.
KEPT = 4


def kernels_of(work: Callable[[], object], device: torch.device) -> str:
    """``aten::mkldnn_rnn_layer 61 %, aten::addmm 20 %, …``: what took how much of some work's time.

    On a GPU its kernels, their template arguments left out; on a CPU torch's operations, each without those it calls.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it prints two lines of its own
    gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with profile(activities=activities, acc_events=True) as profiler:
        work()
        if gpu:
            torch.cuda.synchronize()
    spent: Counter[str] = Counter()
    for event in profiler.events() or ():
        on_device = event.device_type == torch.autograd.DeviceType.CUDA
        if on_device == gpu:
            # torch.compile's graphs have hashes for names.
            name = "compiled code" if "CompiledFxGraph" in event.name else event.name
            name = name.partition("<")[0].removeprefix("void ")
            spent[name] += event.self_device_time_total if gpu else event.self_cpu_time_total
    whole = sum(spent.values())
    return ", ".join(f"{name} {time / whole:.0%}" for name, time in spent.most_common(KEPT) if time > 0)
