"""A net's folder: what is saved is what is loaded, and what does not fit is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ldznet_cli import load_net as exported
from ldznet_cli.errors import DiskFull, ModelError
from ldznet_cli.ldm import tensor_file
from ldznet_cli.nets import NetInfo, build_net, digest_of, for_ldm, load_net, read_info, save_net
from ldznet_cli.nets.checkpoint import verify
from tests.nets.sizes import inputs_for
from tests.tiny import UNET_CONFIG

CONFIG = for_ldm(UNET_CONFIG, "ldznet", head_width=4)


def info_of(config: Any = CONFIG, **changes: Any) -> NetInfo:
    info = NetInfo(
        config=config,
        ldm_name="tiny",
        ldm_digests={"first_stage": "a" * 64, "text": "b" * 64, "unet": "c" * 64, "schedule": None},
        geometry={"kind": "aligned", "size": 128},
        threshold=0.4,
        timesteps=(300, 500),
        training={"step": 7},
    )
    return replace(info, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_net(tmp_path / "net", build_net(CONFIG, 1), info_of(), ema=build_net(CONFIG, 2))
    return tmp_path / "net"


def rewrite(folder: Path, change: Any, name: str = "ema.safetensors") -> None:
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)


@torch.no_grad()
@pytest.mark.parametrize(("weights", "seed"), [("auto", 2), ("ema", 2), ("raw", 1)])
def test_round_trip(folder: Path, weights: Any, seed: int) -> None:
    net = load_net(folder, weights=weights)
    assert not net.training
    assert net.config == CONFIG
    saved = build_net(CONFIG, seed).eval()
    assert all(torch.equal(value, saved.state_dict()[key]) for key, value in net.state_dict().items())
    # Not to the bit: a memory-mapped weight may lie at an address that another kernel path takes.
    given = inputs_for(CONFIG, (8, 8))
    assert torch.allclose(net(*given), saved(*given), atol=1e-6)


def test_public_name() -> None:
    assert exported is load_net


def test_info_round_trip(folder: Path) -> None:
    found = read_info(folder)
    assert replace(found, files={}) == info_of()
    assert set(found.files) == {"model.safetensors", "ema.safetensors"} == set(verify(folder))


def test_stored_in_half_loaded_in_single(tmp_path: Path) -> None:
    net = build_net(CONFIG)
    save_net(tmp_path, net, info_of(), dtype=torch.float16)
    assert load_file(tmp_path / "model.safetensors")["conv_in.weight"].dtype == torch.float16
    assert load_net(tmp_path).dtype == torch.float32
    assert load_net(tmp_path, dtype=torch.bfloat16).dtype == torch.bfloat16
    assert torch.allclose(load_net(tmp_path).conv_in.weight, net.conv_in.weight, atol=1e-3)


def test_average_of_before_goes(folder: Path) -> None:
    save_net(folder, build_net(CONFIG, 3), info_of())
    assert not (folder / "ema.safetensors").exists()
    assert torch.equal(load_net(folder).conv_in.weight, build_net(CONFIG, 3).conv_in.weight)


def test_digest_follows_what_decides(folder: Path) -> None:
    first = digest_of(folder)
    assert first != digest_of(folder, "raw")
    save_net(folder, build_net(CONFIG, 1), info_of(training={"step": 8}), ema=build_net(CONFIG, 2))
    assert digest_of(folder) == first
    save_net(folder, build_net(CONFIG, 1), info_of(threshold=0.5), ema=build_net(CONFIG, 2))
    assert digest_of(folder) != first


def test_verify_notices_a_changed_file(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors["conv_in.bias"].add_(1))
    with pytest.raises(ModelError, match=r"ema\.safetensors: its hash is"):
        verify(folder)


def test_no_space_leaves_the_former_net(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_net(folder).conv_in.weight.clone()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_file, "save_file", full)
    with pytest.raises(DiskFull, match="no space left"):
        save_net(folder, build_net(CONFIG, 5), info_of())
    assert torch.equal(load_net(folder).conv_in.weight, before)
    assert not list(folder.glob(".ldznet-*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("mid_block.resnets.0.conv1.bias"),
            r"missing key mid_block\.resnets\.0\.conv1\.bias of shape",
        ),
        (
            lambda t: t.update({"conv_in.bias": torch.zeros(3)}),
            r"conv_in\.bias has shape \(3,\), expected \(8,\)",
        ),
        (lambda t: t.update({"lora.up": torch.zeros(3)}), r"unknown key lora\.up"),
    ],
)
def test_tensors_that_do_not_fit(folder: Path, change: Any, message: str) -> None:
    rewrite(folder, change)
    with pytest.raises(ModelError, match=message):
        load_net(folder)


def test_truncated_weights(folder: Path) -> None:
    path = folder / "ema.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="truncated"):
        load_net(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="ldznet.net/9"), r"format is 'ldznet\.net/9', expected 'ldznet\.net/1'"),
        (lambda d: d.update(colour=1), "unknown fields colour"),
        (lambda d: d["net"].update(colour=1), "unknown fields colour"),
        (lambda d: d["net"]["unet"].update(colour=1), "unknown fields colour"),
        (lambda d: d.pop("threshold"), "missing fields threshold"),
        (lambda d: d["net"].pop("head_width"), "missing fields head_width"),
        (lambda d: d["net"].update(head_width="wide"), "head_width should be int, found 'wide'"),
        (lambda d: d["net"].update(kind="hulanet"), "kind 'hulanet' is not one of"),
        (lambda d: d.update(timesteps=[1]), "not of the expected form"),
        (lambda d: d["net"].update(blocks=[1, 99]), "no block 99"),
    ],
)
def test_configuration_that_does_not_fit(folder: Path, change: Any, message: str) -> None:
    data = json.loads((folder / "config.json").read_text())
    change(data)
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match=message) as caught:
        load_net(folder)
    assert "\n" not in str(caught.value)


def test_folders_that_are_none(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        load_net(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_net(tmp_path)
    (folder / "ema.safetensors").unlink()
    with pytest.raises(ModelError, match=r"ema\.safetensors: no such file"):
        load_net(folder, weights="ema")
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load_net(folder)


def test_another_ldm_is_named_by_hash(folder: Path) -> None:
    info = read_info(folder)
    info.check_ldm({**info.ldm_digests, "schedule": "d" * 64})
    with pytest.raises(ModelError, match="whose unet is cccccccccccc; found eeeeeeeeeeee"):
        info.check_ldm({**info.ldm_digests, "unet": "e" * 64})
