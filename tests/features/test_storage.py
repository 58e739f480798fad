"""Storage dtypes: what comes back, and how far it may be off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ldznet_cli.features.key import Storage
from ldznet_cli.features.storage import bytes_of, restored, stored

VALUE = 7 * torch.from_numpy(np.random.default_rng(0).normal(size=(6, 5, 4)).astype("float32"))


@pytest.mark.parametrize(
    ("storage", "relative"), [("float32", 0.0), ("float16", 2**-11), ("bfloat16", 2**-8)]
)
def test_floats_come_back_within_half_a_unit_in_the_last_place(storage: Storage, relative: float) -> None:
    back = restored(stored({"5": VALUE}, storage))["5"]
    assert back.dtype == torch.float32
    assert torch.all((back - VALUE).abs() <= relative * VALUE.abs())


def test_int8_is_off_by_half_a_step_of_its_own_channel() -> None:
    value = VALUE * torch.tensor([0.0, 1e-3, 1, 10, 1e4, 1]).view(6, 1, 1)
    on_disk = stored({"5": value}, "int8")
    assert {name: (part.dtype, tuple(part.shape)) for name, part in on_disk.items()} == {
        "5": (torch.int8, (6, 5, 4)),
        "5.scale": (torch.float32, (6, 1, 1)),
    }
    step = value.abs().amax(dim=(1, 2), keepdim=True) / 127
    assert torch.all((restored(on_disk)["5"] - value).abs() <= step * 0.5001)
    assert torch.equal(restored(on_disk)["5"][0], value[0])


@pytest.mark.parametrize("storage", ["float32", "float16", "bfloat16", "int8"])
def test_bytes_of_is_what_is_stored(storage: Storage) -> None:
    on_disk = stored({"5": VALUE}, storage)
    assert bytes_of((6, 5, 4), storage) == sum(part.nbytes for part in on_disk.values())


def test_what_is_stored_owns_no_more_than_itself() -> None:
    batch = torch.zeros(8, 3, 2, 2)
    assert all(part.is_contiguous() for part in stored({"a": batch[:, 1]}, "float16").values())


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_tensors_leave_their_device_before_they_are_converted(
    monkeypatch: pytest.MonkeyPatch, storage: Storage
) -> None:
    """A writer converts while the model has all of a GPU's memory."""
    steps: list[str] = []

    def telling(name: str, step: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def call(*arguments: object) -> torch.Tensor:
            steps.append(name)
            return step(*arguments)

        return call

    for name in ("cpu", "to", "float"):
        monkeypatch.setattr(torch.Tensor, name, telling(name, getattr(torch.Tensor, name)))
    stored({"5": VALUE}, storage)
    assert steps[0] == "cpu"
