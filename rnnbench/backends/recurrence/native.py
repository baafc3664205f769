"""The CPU's kernel: a page of C, compiled once into the cache folder where there is a compiler."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from rnnbench.system.cache import folder

SOURCE = Path(__file__).with_name("native.c")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-shared", "-fPIC")


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where there is no compiler or it fails: the portable kernel runs then."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if compiler is None:
        return None
    source = SOURCE.read_bytes()
    # Compiled for this very processor, so a cache on a shared disk keeps one for each kind.
    key = hashlib.sha256(b"\0".join((source, compiler.encode(), " ".join(FLAGS).encode(), _processor()))).hexdigest()
    with suppress(OSError, RuntimeError, subprocess.SubprocessError):
        target = folder() / f"recurrence-{key[:16]}.so"
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                compiled = Path(scratch) / "compiled.so"
                command = [compiler, *FLAGS, "-o", str(compiled), str(SOURCE)]
                subprocess.run(command, check=True, capture_output=True, timeout=60)
                compiled.replace(target)
        return ctypes.CDLL(str(target))
    return None


def _processor() -> bytes:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line.encode()
    return f"{platform.machine()} {platform.processor()}".encode()


def refusal(b: Tensor) -> str | None:
    """None where these kernels can run on such tensors; else the reason, in words."""
    if b.device.type != "cpu":
        return "the C kernel is for CPUs"
    if b.dtype not in _SUFFIX:
        return f"the C kernel has no {b.dtype}"
    return None if library() is not None else "there is no C compiler"


_SUFFIX = {
    torch.float32: "_f32",
    torch.float64: "_f64",
    torch.complex64: "_complex_f32",
    torch.complex128: "_complex_f64",
}


def forward(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
    """a (1 or B, 1 or T, D), b (B, T, D), s (B, D), all contiguous → h (B, T, D)."""
    h = torch.empty_like(b)
    _call("forward", b, a.data_ptr(), *_strides(a), b.data_ptr(), s.data_ptr(), h.data_ptr())
    return h


def backward(a: Tensor, h: Tensor, s: Tensor, G: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cotangents G of h and ``last`` of the last state → gradients of a, b and s, each of its tensor's shape."""
    da = torch.zeros_like(a) if 1 in a.shape[:2] else torch.empty_like(a)
    db, ds = torch.empty_like(h), last.clone()
    total = torch.empty(2 * h.shape[2], dtype=torch.float64)
    pointers = (t.data_ptr() for t in (h, s, G, db, da, ds, total))
    if a.shape[0] == 1 < h.shape[0] and a.shape[1] > 1:
        # The same a(t) for every sequence: the kernel would overwrite one sequence's share with the next one's.
        full = backward(a.expand(h.shape[0], -1, -1).contiguous(), h, s, G, last)
        return full[0].sum(0, keepdim=True), *full[1:]
    _call("backward", h, a.data_ptr(), *_strides(a), *pointers)
    return da, db, ds


def _strides(a: Tensor) -> tuple[int, int]:
    return a.shape[1] * a.shape[2] if a.shape[0] > 1 else 0, a.shape[2] if a.shape[1] > 1 else 0


def _call(name: str, like: Tensor, *arguments: int) -> None:
    kernels = library()
    assert kernels is not None
    function = getattr(kernels, name + _SUFFIX[like.dtype])
    function.restype = None
    # Three sizes end every call; strides and sizes are longs, the others addresses: both as wide as a pointer here.
    function(*map(ctypes.c_size_t, (*arguments, *like.shape)))
