"""The devices that PyTorch can use here, and the dtypes that are fast on each."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from ldznet_cli.machine.finding import Finding
from ldznet_cli.machine.processor import declared_flags, fast_dtypes

_SECTION = "devices"
_NVIDIA = Path("/dev/nvidiactl")
"""There when a driver for NVIDIA's processors is loaded, whatever PyTorch can do with it."""


def devices() -> list[Finding]:
    """`cpu`, then each CUDA device, then `mps`; what is missing is told with its reason."""
    return [_cpu(), *_cuda(), _mps()]


def _cpu() -> Finding:
    import torch

    flags = declared_flags()
    dtypes = fast_dtypes(flags or frozenset())
    value = {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "flags": None if flags is None else sorted(flags),
        "fast_dtypes": dtypes,
    }
    declared = (
        "unknown: this system does not tell" if flags is None else " ".join(sorted(flags)) or "none of note"
    )
    shown = (
        f"{value['threads']} threads of {value['cores']} cores, {value['processor']} {value['vectors']}; "
        f"fast: {', '.join(dtypes)} (flags: {declared})"
    )
    return Finding(_SECTION, "cpu", value, shown)


def _cuda() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        reason = "no device that can be used" if built else "this PyTorch is built without CUDA"
        yield Finding(_SECTION, "cuda", None, f"none: {reason}", _unused(built))
        return
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        capability = (about.major, about.minor)
        dtypes = cuda_dtypes(capability)
        value = {
            "model": about.name,
            "memory": about.total_memory,
            "capability": f"{about.major}.{about.minor}",
            "fast_dtypes": dtypes,
        }
        shown = f"{about.name}, {about.total_memory / 2**30:.0f} GiB; fast: {', '.join(dtypes)}"
        yield Finding(_SECTION, f"cuda:{index}", value, shown)


def _unused(built: bool) -> str | None:
    """A device that lies idle is worth a word; a machine without one is as it should be."""
    if not _NVIDIA.exists():
        return None
    if built:
        return "an NVIDIA driver is loaded, but PyTorch cannot use it: compare `nvidia-smi` with the CUDA of PyTorch"
    return "an NVIDIA driver is loaded, but PyTorch is built for CPUs: install PyTorch's CUDA build (pytorch.org)"


def cuda_dtypes(capability: tuple[int, int]) -> list[str]:
    """By compute capability: half precision on tensor cores from 7.0 (Volta), bfloat16 from 8.0 (Ampere)."""
    halves = [("float16", (7, 0)), ("bfloat16", (8, 0))]
    return ["float32", *(dtype for dtype, least in halves if capability >= least)]


def _mps() -> Finding:
    import torch

    if torch.backends.mps.is_available():
        dtypes = ["float32", "float16"]
        return Finding(_SECTION, "mps", {"fast_dtypes": dtypes}, f"Apple's GPU; fast: {', '.join(dtypes)}")
    reason = (
        "no device that can be used" if torch.backends.mps.is_built() else "this PyTorch is built without it"
    )
    return Finding(_SECTION, "mps", None, f"none: {reason}")
