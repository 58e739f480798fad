"""Packed layers give what the plain ones give, and what cannot be packed is left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ldznet_cli.ldm import packing, tensor_file
from ldznet_cli.ldm.packing import PackedConv2d, can_pack, place
from ldznet_cli.ldm.tensor_file import read_tensors

CPU = torch.device("cpu")
needs_packing = pytest.mark.skipif(
    not can_pack(torch.float32), reason="weights are packed on x86 processors alone"
)


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGE", 0)


def test_a_small_network_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGE", 1000)
    net = nn.Sequential(nn.Conv2d(4, 4, 1))
    place(net, CPU, torch.float32)
    assert type(net[0]) is nn.Conv2d


LAYERS = {
    "3x3": (lambda: nn.Conv2d(5, 7, 3, padding=1), (2, 5, 9, 6)),
    "3x3 of stride 2": (lambda: nn.Conv2d(5, 7, 3, stride=2), (1, 5, 9, 6)),
    "1x1": (lambda: nn.Conv2d(16, 32, 1), (2, 16, 12, 12)),
    "no bias": (lambda: nn.Conv2d(4, 4, 3, padding=1, bias=False), (1, 4, 8, 8)),
    "of one channel": (lambda: nn.Conv2d(1, 1, 3, padding=1), (1, 1, 16, 8)),
    "grouped": (lambda: nn.Conv2d(8, 8, 3, groups=4), (1, 8, 5, 5)),
    "linear": (lambda: nn.Linear(6, 11), (2, 3, 6)),
    "linear of one row": (lambda: nn.Linear(6, 11, bias=False), (1, 6)),
    "along rows": (lambda: nn.Conv1d(6, 11, 1), (2, 6, 7)),
    "along rows, wider": (lambda: nn.Conv1d(6, 11, 3), (2, 6, 7)),
}


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LAYERS)
def test_a_packed_layer_gives_the_same(name: str, dtype: torch.dtype) -> None:
    make, shape = LAYERS[name]
    net = nn.Sequential(make(), nn.Identity()).to(dtype)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = net(x)
    place(net, CPU, dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(net(x), expected, atol=tolerance, rtol=tolerance)


@needs_packing
def test_inner_layers_are_packed_and_others_left() -> None:
    inner = nn.ModuleDict(
        {"conv": nn.Conv2d(4, 4, 1), "norm": nn.GroupNorm(2, 4), "up": nn.ConvTranspose2d(4, 4, 2)}
    )
    net = nn.ModuleList([inner])
    place(net, CPU, torch.float32)
    assert isinstance(inner["conv"], PackedConv2d)
    assert repr(inner["conv"]) == "PackedConv2d(4, 4, kernel_size=(1, 1))"
    assert [p.dtype for p in inner["conv"].parameters()] == [torch.float32]  # of a module its dtype is asked
    assert isinstance(inner["norm"], nn.GroupNorm)
    assert isinstance(inner["up"], nn.ConvTranspose2d)


def test_large_tensors_go_from_memory_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers.safetensors"
    numbers = {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.ones(12, dtype=torch.bfloat16),
        "c": torch.zeros(0, 4),
        "d": torch.tensor(7),
    }
    save_file(numbers, path)
    monkeypatch.setattr(tensor_file, "OWN_MAP", 24)
    found = read_tensors(path)
    assert found.keys() == numbers.keys()
    assert all(
        torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in numbers.items()
    )
    assert maps(path) == 3
    del found["a"]
    assert maps(path) == 2


def maps(path: Path) -> int:
    return sum(line.endswith(str(path)) for line in Path("/proc/self/maps").read_text().splitlines())


@needs_packing
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process holds")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packing_leaves_nothing_beside_the_packed_weights(tmp_path: Path, dtype: torch.dtype) -> None:
    """32 layers of a megabyte and more in a row, as in a file: what is held afterwards is one copy."""
    side, count = 512, 32
    names = {f"{n}.weight": torch.zeros(side, side) for n in range(count)}
    save_file(names, tmp_path / "net.safetensors")
    with torch.device("meta"):
        net = nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(count)))
    del names
    net.load_state_dict(read_tensors(tmp_path / "net.safetensors"), assign=True)
    before, held = anonymous(), count * side * side * dtype.itemsize
    place(net.requires_grad_(False), CPU, dtype)
    assert anonymous() - before < 1.2 * held


def anonymous() -> int:
    """Bytes that this process holds and that are in no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = (line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024
