"""This machine: threads, allocator, device, memory, and the record of it that every result carries."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rnnbench
from rnnbench.errors import UserError


def prepare(threads: int = 1) -> None:
    """Make a process fit for measuring: few threads, and an allocator that keeps the memory of long sequences.

    One thread a worker: two under contention were 7–50 × slower. glibc gives a long sequence's buffers back to the
    system after each step and faults them in again at the next; told not to, nn.LSTM at T = 1024 took 162 ms instead
    of 255.
    """
    import torch

    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False  # torch lets cuDNN's recurrent kernels round float32 to 10 bits
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):
            return  # not glibc
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
        mallopt(m_top_pad, 64 * 2**20)


def check_at_once(what: str, count: int) -> None:
    """Refuse more threads or processes than the machine could bear; four a core, or sixteen, it does.

    Raises:
        UserError: there are more.
    """
    most = max(16, 4 * (os.cpu_count() or 1))
    if count > most:
        raise UserError(f"{what} must be at most {most} on this machine of {os.cpu_count()} cores, got {count}.")


@contextmanager
def pinned(cores: int = 1) -> Iterator[list[int]]:
    """While it lasts, this process stays on so many of the cores that it may use, the last ones; yields which.

    A process that is moved from core to core leaves its caches behind, and that would be timed. Where a system cannot
    pin, nothing happens, and the list is empty.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield []
        return
    before = os.sched_getaffinity(0)
    chosen = sorted(before)[-cores:]
    os.sched_setaffinity(0, chosen)
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


@cache
def cuda_build() -> bool:
    """Is the torch that is installed one for GPUs? Answered without importing it.

    Raises:
        UserError: none is installed.
    """
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        raise UserError("torch is not installed; `make install` sets up the environment.")
    version = Path(spec.origin).with_name("version.py")
    return not (version.is_file() and re.search(r"^cuda\b[^=]*= None", version.read_text(), re.MULTILINE))


@cache
def has_cuda() -> bool:
    """Is there a usable GPU? Answered without importing torch where its build has no CUDA."""
    if not cuda_build():
        return False
    import torch

    return torch.cuda.is_available()


def resolve_device(device: str) -> str:
    """``auto`` → cuda where there is one, else cpu. Asking for a GPU that is not there is a `UserError`."""
    if device == "auto":
        return "cuda" if has_cuda() else "cpu"
    if device == "cuda" and not has_cuda():
        raise UserError("device cuda was asked for, but torch sees no GPU here; use --device cpu.")
    return device


class PeakMemory:
    """Largest memory in use since this object was made, in MiB.

    GPU: the allocator's own statistics. CPU: the process's resident high-water mark, which Linux lets a process reset;
    where it cannot be reset, the mark is the process's whole life's.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        if self.device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
        else:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def mib(self) -> float:
        """The peak so far."""
        if self.device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated() / 2**20
        try:
            status = Path("/proc/self/status").read_text()
            return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024  # type: ignore[union-attr]
        except (OSError, AttributeError):
            import resource

            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


@cache
def commit() -> str | None:
    """The git commit of rnnbench's own checkout, with ``+`` where it has changes; None outside a checkout."""
    root = Path(rnnbench.__file__).resolve().parents[1]  # wherever this module lies in the package
    if not (root / ".git").exists():
        return None
    try:
        ask = {"cwd": root, "capture_output": True, "text": True, "timeout": 10}
        head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], check=True, **ask).stdout.strip()  # type: ignore[call-overload]
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], check=True, **ask).stdout.strip()  # type: ignore[call-overload]
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if dirty else "")


def environment(device: str) -> dict[str, Any]:
    """What a result was made with: commit, versions, device, threads."""
    import lightning
    import torch

    return {
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "platform": platform.platform(),
        "device": device,
        "device_name": torch.cuda.get_device_name() if device == "cuda" else _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def libraries() -> dict[str, Any]:
    """The libraries that torch calls for recurrent layers, by version, and the settings that change their results."""
    import torch

    onednn = re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show())
    return {
        "onednn": onednn[1] if onednn and torch.backends.mkldnn.is_available() else None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def memory(device: str) -> int:
    """Bytes of memory that a device has; a CPU's is the machine's."""
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def oom_kills() -> int:
    """Processes that the kernel has killed for want of memory so far: of our control group, else of the machine."""
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with suppress(OSError):
            if kills := re.search(r"^oom_kill (\d+)$", Path(path).read_text(), re.MULTILINE):
                return int(kills[1])
    return 0


def cpu_clock() -> int | None:
    """MHz of the fastest core now, as Linux says; None where it does not."""
    try:
        clocks = re.findall(r"cpu MHz\s*:\s*([\d.]+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        return None
    return round(max(map(float, clocks))) if clocks else None


@cache
def _cpu_name() -> str:
    try:
        name = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        name = None
    return name.group(1).strip() if name else platform.processor() or platform.machine()


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
                "driver": driver.decode() if isinstance(driver, bytes) else driver,
                "clocks_mhz": {
                    name: [int(nvml.nvmlDeviceGetClockInfo(gpu, kind)), int(nvml.nvmlDeviceGetMaxClockInfo(gpu, kind))]
                    for name, kind in kinds.items()
                },
            }
    except Exception:
        return {}
