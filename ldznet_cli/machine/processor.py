"""Which arithmetic the processor has instructions for, as it declares itself: nothing is measured."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

FAST = {
    "float32": frozenset[str](),
    "bfloat16": frozenset({"amx_bf16", "avx512_bf16", "avx_ne_convert", "bf16", "FEAT_BF16"}),
    "float16": frozenset({"amx_fp16", "avx512_fp16", "asimdhp", "FEAT_FP16"}),
}
"""dtype → the flags of which one is enough (Intel's and AMD's, ARM's on Linux, Apple's). float32 needs none."""

_SHOWN = frozenset({"avx2", "avx512f", "amx_tile", "asimd", "sve", *FAST["bfloat16"], *FAST["float16"]})


def declared_flags() -> frozenset[str] | None:
    """The processor's flags that matter to arithmetic; None where this system has no way to tell that is known here."""
    if CPUINFO.is_file():
        return flags_of(CPUINFO.read_text(errors="replace"))
    if platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "hw.optional"], capture_output=True, text=True, check=False)
        return frozenset(re.findall(r"hw\.optional\.(?:arm\.)?(\w+): 1", asked.stdout)) & _SHOWN
    return None


def flags_of(cpuinfo: str) -> frozenset[str]:
    """Of Linux's /proc/cpuinfo: `flags` on x86, `Features` on ARM, of its first processor."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(found[1].split() if found else ()) & _SHOWN


def fast_dtypes(flags: frozenset[str]) -> list[str]:
    """The dtypes that the processor computes in, rather than by way of float32."""
    return [dtype for dtype, enough in FAST.items() if not enough or enough & flags]
