"""What NVIDIA's management library says of GPUs: memory, driver, clocks, energy; nothing where it does not answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """name: what CUDA_VISIBLE_DEVICES may say to choose it. mib: its memory that is free now."""

    name: str
    mib: float


def gpus() -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves this process, all where it says nothing; found without torch."""
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            uuids = [
                uuid.decode() if isinstance(uuid, bytes) else uuid for uuid in map(pynvml.nvmlDeviceGetUUID, handles)
            ]
            free = [pynvml.nvmlDeviceGetMemoryInfo(handle).free / 2**20 for handle in handles]
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # no NVML, no driver: each has a class of its own
        return []
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None:
        return [Gpu(uuid, mib) for uuid, mib in zip(uuids, free, strict=True)]
    by_name = {**{str(i): mib for i, mib in enumerate(free)}, **dict(zip(uuids, free, strict=True))}
    return [Gpu(name, by_name[name]) for name in map(str.strip, asked.split(",")) if name in by_name]


@contextmanager
def _device() -> Iterator[tuple[Any, Any]]:
    """(pynvml, the handle of torch's current GPU); raises what `answered` catches."""
    import pynvml
    import torch

    pynvml.nvmlInit()
    try:
        # By UUID: torch counts the GPUs that CUDA_VISIBLE_DEVICES leaves, NVML all there are.
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        yield pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}".encode())
    finally:
        pynvml.nvmlShutdown()


def millijoules() -> int | None:
    """Energy that the GPU has taken since its driver was loaded."""
    try:
        with _device() as (nvml, gpu):
            return int(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu))
    except Exception:  # no NVML, no such counter, no permission: each has a class of its own
        return None


def facts(device: str) -> dict[str, Any]:
    """Of a GPU ``driver``, and ``clocks_mhz`` of the multiprocessors and the memory, now and at most."""
    if device != "cuda":
        return {}
    try:
        with _device() as (nvml, gpu):
            driver = nvml.nvmlSystemGetDriverVersion()
            kinds = {"sm": nvml.NVML_CLOCK_SM, "memory": nvml.NVML_CLOCK_MEM}
            return {
                "driver": _text(driver),
                "clocks_mhz": {
                    name: [int(nvml.nvmlDeviceGetClockInfo(gpu, kind)), int(nvml.nvmlDeviceGetMaxClockInfo(gpu, kind))]
                    for name, kind in kinds.items()
                },
            }
    except Exception:
        return {}


def _text(said: str | bytes) -> str:
    """Older versions of the library answer in bytes."""
    return said.decode() if isinstance(said, bytes) else said
