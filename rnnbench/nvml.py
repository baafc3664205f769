"""What NVIDIA's management library says of a GPU: driver, clocks, energy. None of it where it does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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
                "driver": driver.decode() if isinstance(driver, bytes) else driver,
                "clocks_mhz": {
                    name: [int(nvml.nvmlDeviceGetClockInfo(gpu, kind)), int(nvml.nvmlDeviceGetMaxClockInfo(gpu, kind))]
                    for name, kind in kinds.items()
                },
            }
    except Exception:
        return {}
