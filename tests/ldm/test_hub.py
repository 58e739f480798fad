"""The hub's client against a small hub of our own on loopback: what is fetched, and what is said when it fails."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ldznet_cli.errors import DiskFull, WeightsUnavailable
from ldznet_cli.ldm import FrozenLDM, resolve
from tests.small_hub import SmallHub, serving


@pytest.fixture
def hub(tiny_ldm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """A hub with the tiny model."""
    with serving(tiny_ldm, tmp_path / "hub", monkeypatch) as server:
        yield server


def test_only_what_is_needed_is_fetched_and_only_once(hub: SmallHub, tiny_ldm: Path) -> None:
    ldm = FrozenLDM.load("owner/model")
    assert sorted(hub.fetched) == sorted(
        path.relative_to(tiny_ldm).as_posix() for path in tiny_ldm.rglob("*") if path.is_file()
    )
    assert ldm.name == "owner/model"
    assert ldm.digests == FrozenLDM.load(tiny_ldm).digests
    hub.fetched.clear()
    again = FrozenLDM.load("owner/model", offline=True)
    assert again.blocks == ldm.blocks
    assert hub.fetched == []


def test_without_blocks_the_unets_weights_are_not_fetched(hub: SmallHub) -> None:
    FrozenLDM.load("owner/model", blocks=())
    assert "vae/diffusion_pytorch_model.safetensors" in hub.fetched
    assert "unet/diffusion_pytorch_model.safetensors" not in hub.fetched
    assert "unet/config.json" in hub.fetched


def test_half_precision_is_fetched_where_there_is_nothing_else(hub: SmallHub) -> None:
    whole, half = "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"
    hub.files[half] = hub.files.pop(whole)
    assert FrozenLDM.load("owner/model").blocks == (3, 4, 5, 6, 7)
    assert half in hub.fetched


def test_another_first_stage_from_the_hub(hub: SmallHub, tiny_ldm: Path, tmp_path: Path) -> None:
    own = shutil.copytree(tiny_ldm, tmp_path / "own")
    shutil.rmtree(own / "vae")
    ldm = FrozenLDM.load(own, vae="owner/model")
    assert sorted(hub.fetched) == [
        "model_index.json",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    assert ldm.encode_image(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 8, 8)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "GatedRepo", "owner/model is gated: accept its licence at"),
        (401, "GatedRepo", "owner/model is gated: accept its licence at"),
        (401, "RepoNotFound", "knows no model owner/model: check the name"),
        (404, "RepoNotFound", "knows no model owner/model: check the name"),
        (500, "", "owner/model is not in .*, and http.* answers 500"),
        (429, "", "owner/model is not in .*, and http.* answers 429"),
    ],
)
def test_what_the_hub_refuses(hub: SmallHub, status: int, code: str, words: str) -> None:
    hub.refuse = (status, code)
    with pytest.raises(WeightsUnavailable, match=words) as caught:
        resolve("owner/model")
    assert "\n" not in str(caught.value)


def test_an_unknown_revision(hub: SmallHub) -> None:
    with pytest.raises(WeightsUnavailable, match="owner/model has no revision 'nothing'"):
        resolve("owner/model", revision="nothing")


def test_offline_nothing_is_asked(hub: SmallHub) -> None:
    with pytest.raises(
        WeightsUnavailable, match=r"is not in the hub's cache .*, and the hub may not be asked \(offline\)"
    ):
        resolve("owner/model", offline=True)
    assert hub.fetched == []


def test_offline_by_environment(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match="offline"):
        resolve("owner/model")


def test_no_network(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.shutdown()
    hub.server_close()
    with pytest.raises(WeightsUnavailable, match="127.0.0.1:[0-9]+ cannot be reached"):
        resolve("owner/model")
    monkeypatch.setattr(constants, "ENDPOINT", "http://no-such-host.invalid")
    with pytest.raises(WeightsUnavailable, match="no-such-host.invalid cannot be reached"):
        resolve("owner/model")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Data processing error: I/O error: No space left on device (os error 28)"),
    ],
    ids=["errno", "quota", "words"],
)
def test_no_space_for_what_is_fetched(
    error: Exception, hub: SmallHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(DiskFull, match="make room or set HF_HOME"):
        resolve("owner/model")


def test_without_the_unets_weights_z_and_text_have_their_digests(hub: SmallHub, tiny_ldm: Path) -> None:
    bare, whole = FrozenLDM.load("owner/model", blocks=()).digests, FrozenLDM.load(tiny_ldm).digests
    assert (bare.first_stage, bare.text, bare.unet) == (whole.first_stage, whole.text, None)
    assert FrozenLDM.load("owner/model", blocks=(), fetch_unet=True).digests == whole


def test_nets_start_from_a_unet_that_is_fetched_for_them(hub: SmallHub, tiny_ldm: Path) -> None:
    ldm = FrozenLDM.load("owner/model", blocks=(), fetch_unet=True)
    assert ldm.unet is None
    assert ldm.unet_state_dict().keys() == FrozenLDM.load(tiny_ldm).unet_state_dict().keys()
