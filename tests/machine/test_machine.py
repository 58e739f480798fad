from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from ldznet_cli.machine import disk, packages, processor
from ldznet_cli.machine.devices import cuda_dtypes, devices

XEON = """processor\t: 0
vendor_id\t: GenuineIntel
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8
processor\t: 1
flags\t\t: fpu
"""
OLD = "processor : 0\nflags\t\t: fpu sse2 avx avx2 f16c\n"
GRAVITON = "processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd fphp asimdhp sve bf16 i8mm\n"
PI = "Features\t: fp asimd evtstrm crc32\n"


@pytest.mark.parametrize(
    ("cpuinfo", "fast"),
    [
        (XEON, ["float32", "bfloat16", "float16"]),
        (OLD, ["float32"]),
        (GRAVITON, ["float32", "bfloat16", "float16"]),
        (PI, ["float32"]),
        ("nothing of the kind", ["float32"]),
    ],
)
def test_what_processors_declare(cpuinfo: str, fast: list[str]) -> None:
    assert processor.fast_dtypes(processor.flags_of(cpuinfo)) == fast


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "CPUINFO", Path("/none"))
    monkeypatch.setattr(processor.platform, "system", lambda: "Windows")
    assert processor.declared_flags() is None
    (cpu, *_) = devices()
    assert cpu.value["flags"] is None
    assert "fast: float32 (flags: unknown: this system does not tell)" in cpu.shown


@pytest.mark.parametrize(
    ("capability", "fast"),
    [
        ((6, 1), ["float32"]),
        ((7, 5), ["float32", "float16"]),
        ((8, 0), ["float32", "float16", "bfloat16"]),
        ((9, 0), ["float32", "float16", "bfloat16"]),
    ],
)
def test_cuda_by_its_capability(capability: tuple[int, int], fast: list[str]) -> None:
    assert cuda_dtypes(capability) == fast


def test_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    about = SimpleNamespace(name="H200", total_memory=139 * 2**30, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
    found = {finding.name: finding for finding in devices()}
    assert list(found) == ["cpu", "cuda:0", "cuda:1", "mps"]
    assert found["cuda:1"].shown == "H200, 139 GiB; fast: float32, float16, bfloat16"
    assert found["cuda:0"].value["capability"] == "9.0"


def test_a_driver_that_lies_idle_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from ldznet_cli.machine import devices as room

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(room, "_NVIDIA", tmp_path / "none")
    assert [finding.problem for finding in devices()] == [None, None, None]
    monkeypatch.setattr(room, "_NVIDIA", tmp_path)
    for version, word in ((None, "is built for CPUs"), ("12.8", "cannot use it")):
        monkeypatch.setattr(torch.version, "cuda", version)
        (problem,) = [finding.problem for finding in devices() if finding.problem]
        assert word in problem


def test_packages_that_are_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=2.0", "Pillow>=999", "nobody-has-this>=1.0", 'skipped>=1; extra == "dev"']
    monkeypatch.setattr(packages.metadata, "requires", lambda name: wanted)
    found = {finding.name: finding for finding in packages.versions()}
    assert found["numpy"].problem is None
    assert '`pip install "Pillow>=999"`' in (found["Pillow"].problem or "")
    assert (found["nobody-has-this"].value, found["nobody-has-this"].shown) == (None, "missing")
    assert "skipped" not in found


def test_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 5 * 2**30))
    (finding,) = disk.space({"here": tmp_path / "not" / "yet"})
    assert (finding.problem, finding.value["free"]) == (None, 5 * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 2**20))
    (finding,) = disk.space({"here": tmp_path})
    assert finding.problem == f"1 MB are left at {tmp_path}: make room"
    monkeypatch.setattr(disk.os, "access", lambda path, mode: False)
    (finding,) = disk.space({"here": tmp_path})
    assert "cannot be written to" in (finding.problem or "")
