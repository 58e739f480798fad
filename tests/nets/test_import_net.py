"""The authors' checkpoint as a folder: whole, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ldznet_cli.errors import DiskFull, UsageError
from ldznet_cli.nets import checkpoint, for_ldm
from ldznet_cli.nets.import_net import NamedLdm, import_net
from tests.nets.authors import checkpoint_of
from tests.tiny import UNET_CONFIG


def test_a_full_disk_leaves_no_half_of_a_net(
    tiny_ldm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ldm = NamedLdm("tiny", tiny_ldm)
    _, _, held = checkpoint_of(for_ldm(UNET_CONFIG, "ldznet"))
    torch.save({"state_dict": held}, tmp_path / "net.ckpt")

    def full(*_: object) -> None:
        raise DiskFull("no space left")

    with monkeypatch.context() as filled:
        filled.setattr(checkpoint, "write_info", full)  # the last file; the weights are written by then
        with pytest.raises(DiskFull):
            import_net(tmp_path / "net.ckpt", tmp_path / "net", ldm=ldm)
    assert not list(tmp_path.glob("*net")) + list(tmp_path.glob("*.part"))
    done = import_net(tmp_path / "net.ckpt", tmp_path / "net", ldm=ldm)
    assert done.info.files
    with pytest.raises(UsageError, match="is there already"):
        import_net(tmp_path / "net.ckpt", tmp_path / "net", ldm=ldm)
