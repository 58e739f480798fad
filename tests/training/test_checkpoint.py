"""What is said when a checkpoint cannot be written: only a full disk is called one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from ldznet_cli.errors import DiskFull, LdznetError
from ldznet_cli.training import checkpoint
from ldznet_cli.training.checkpoint import Progress
from ldznet_cli.training.ema import Ema


@pytest.mark.parametrize(
    ("fault", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (OSError(errno.EROFS, "Read-only file system"), False),
        (checkpoint.SafetensorError("I/O error: No space left on device (os error 28)"), True),
        (checkpoint.SafetensorError("I/O error: Input/output error (os error 5)"), False),
    ],
)
def test_a_fault_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, full: bool
) -> None:
    net = nn.Linear(2, 2)
    optimizer, ema = torch.optim.AdamW(net.parameters()), Ema(net, 0.9)
    before = checkpoint.save(tmp_path, net, ema, optimizer, Progress(1))

    def fails(*_: object) -> None:
        raise fault

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(LdznetError, match="step-00000002.* the same command again") as told:
        checkpoint.save(tmp_path, net, ema, optimizer, Progress(2))
    assert isinstance(told.value, DiskFull) == full
    assert ("no space left" in str(told.value)) == full
    assert "\n" not in str(told.value)
    assert [checkpoint.latest(tmp_path), *(tmp_path / "checkpoints").iterdir()] == [before, before]


def test_what_is_restored_lies_where_its_weights_do() -> None:
    """The step counter too: the fused AdamW takes no other."""
    here = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(here.parameters(), fused=True)
    here(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    tensors = checkpoint.optimizer_tensors(here, optimizer)
    assert {key.rpartition("|")[2] for key in tensors} == {"step", "exp_avg", "exp_avg_sq"}
    there = nn.Linear(2, 2, device="meta")
    other = torch.optim.AdamW(there.parameters())
    checkpoint.restore_optimizer(there, other, tensors)
    states = [value for state in other.state.values() for value in state.values()]
    assert len(states) == 6
    assert {value.device.type for value in states} == {"meta"}
