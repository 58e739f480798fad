"""Checkpoint files: tensors come out, nothing in them is run."""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.lightning import read_state_dict

TENSORS = {"a": torch.arange(4.0), "b": torch.ones(2, 3, dtype=torch.float16)}


class Bomb:
    """What a malicious file holds: unpickled the ordinary way it would call `function`."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def of_libraries(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Objects of classes that are named as Lightning's and OmegaConf's, which are gone when the file is read."""
    made: dict[str, Any] = {}
    for module, name in (
        ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
        ("omegaconf.dictconfig", "DictConfig"),
        ("omegaconf.base", "ContainerMetadata"),
    ):
        parts = module.split(".")
        for i in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:i]), type(sys)(".".join(parts[:i])))
        cls = type(name, (), {"__module__": module})
        setattr(sys.modules[module], name, cls)
        made[name] = cls
    return made


def test_training_run_without_its_libraries(
    tmp_path: Path, of_libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = of_libraries["DictConfig"]()
    config.metadata = of_libraries["ContainerMetadata"]()
    config.metadata.object_type = dict
    config.metadata.ref_type = Any
    config.content = defaultdict(list, {"lr": np.float64(5e-7)})
    path = tmp_path / "last.ckpt"
    torch.save(
        {
            "state_dict": TENSORS,
            "callbacks": {
                of_libraries["ModelCheckpoint"]: {"best": np.float32(0.5), "dir": PurePosixPath("/runs")}
            },
            "hyper_parameters": config,
            "recent": deque([1, 2]),
            "array": np.arange(3),
        },
        path,
    )
    for module in [name for name in sys.modules if name.startswith(("omegaconf", "pytorch_lightning"))]:
        monkeypatch.delitem(sys.modules, module)
    found = read_state_dict(path)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)
    assert not any(name.startswith(("omegaconf", "pytorch_lightning")) for name in sys.modules)


@pytest.mark.parametrize(
    ("bomb", "name"),
    [(Bomb(eval, "1/0"), r"builtins\.eval"), (Bomb(exec, "raise SystemExit"), r"builtins\.exec")],
)
def test_files_that_call_are_refused(tmp_path: Path, bomb: Bomb, name: str) -> None:
    torch.save({"state_dict": TENSORS, "x": bomb}, tmp_path / "bad.ckpt")
    with pytest.raises(ModelError, match=name):
        read_state_dict(tmp_path / "bad.ckpt")


def test_file_that_runs_a_command_is_refused(tmp_path: Path) -> None:
    import os

    torch.save({"state_dict": TENSORS, "x": Bomb(os.system, f"touch {tmp_path}/ran")}, tmp_path / "bad.ckpt")
    with pytest.raises(ModelError, match="system"):
        read_state_dict(tmp_path / "bad.ckpt")
    assert not (tmp_path / "ran").exists()


def test_bare_and_safetensors(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "bare.ckpt")
    save_file(TENSORS, tmp_path / "bare.safetensors")
    for name in ("bare.ckpt", "bare.safetensors"):
        found = read_state_dict(tmp_path / name)
        assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        read_state_dict(tmp_path / "none.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "empty.ckpt")
    with pytest.raises(ModelError, match="no tensors"):
        read_state_dict(tmp_path / "empty.ckpt")
    torch.save(TENSORS, tmp_path / "whole.ckpt")
    content = (tmp_path / "whole.ckpt").read_bytes()
    for name, part in (("cut.ckpt", content[:-300]), ("text.ckpt", b"hello"), ("zero.ckpt", b"")):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(ModelError, match="truncated") as caught:
            read_state_dict(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "cut.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(ModelError, match="truncated"):
        read_state_dict(tmp_path / "cut.safetensors")
