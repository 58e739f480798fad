"""Weights that are none, or not those that are meant: one line with what was expected and found, and an exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from ldznet_cli.cli import main
from ldznet_cli.ldm.layout import RAW
from ldznet_cli.nets import for_ldm
from tests.nets.authors import SD_LIKE, drawn_checkpoint
from tests.single_file import single_file
from tests.tiny import tiny_ldm as build_ldm
from tests.tiny_net import tiny_net

State = dict[str, Tensor]
LORA = {
    "lora_unet_down_blocks_0.lora_down.weight": torch.ones(4, 8),
    "lora_unet_down_blocks_0.alpha": torch.ones(1),
}
SDXL = {
    "model.diffusion_model.input_blocks.0.0.weight": torch.ones(8, 4, 3, 3),
    "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias": torch.ones(8),
}


class Bomb:
    """Unpickled the ordinary way it calls `function`."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def state() -> State:
    """The net of the authors' layout."""
    return drawn_checkpoint(for_ldm(SD_LIKE, "ldznet", pool_latent=16))


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    assert main([*arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[-1].startswith("ldznet: error: ")
    assert len(lines) == 1
    return lines[-1].removeprefix("ldznet: error: ")


@pytest.mark.parametrize("verb", ["import", "import-ldm"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [(slice(0, -300), "truncated"), (slice(0, 1000), "truncated"), (slice(0, 0), "truncated")],
)
def test_truncated_checkpoints(
    verb: str, content: slice, reason: str, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(state, "whole.ckpt")
    save_file(state, "whole.safetensors")
    for suffix in ("ckpt", "safetensors"):
        Path(f"bad.{suffix}").write_bytes(Path(f"whole.{suffix}").read_bytes()[content])
        line = fails(capsys, 1, "weights", verb, f"bad.{suffix}", "--out", "net")
        assert line.startswith(f"bad.{suffix}: {reason}")
    assert not Path("net").exists()


@pytest.mark.parametrize(
    ("verb", "held", "words"),
    [
        (
            "import",
            SDXL,
            "no segmentation net in it (no final.* among its keys); it seems to be Stable Diffusion XL",
        ),
        ("import", LORA, "it seems to be a LoRA file, which holds changes to a model and no model"),
        (
            "import-ldm",
            SDXL,
            "seems to be Stable Diffusion XL: expected a whole checkpoint of Stable Diffusion 1.x or 2",
        ),
        ("import-ldm", LORA, "seems to be a LoRA file"),
    ],
)
def test_another_architecture(verb: str, held: State, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(held, "other.safetensors")
    line = fails(capsys, 1, "weights", verb, "other.safetensors", "--out", "net")
    assert line.startswith("other.safetensors")
    assert words in line
    assert not Path("net").exists()


def test_each_verb_points_to_the_other(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(
        {key: value.contiguous().clone() for key, value in single_file().state.items()}, "sd.safetensors"
    )
    torch.save(state, "net.ckpt")
    assert "`ldznet weights import-ldm`" in fails(
        capsys, 1, "weights", "import", "sd.safetensors", "--out", "net"
    )
    assert "a checkpoint of LD-ZNet" in fails(capsys, 1, "weights", "import-ldm", "net.ckpt", "--out", "net")
    Image.effect_noise((96, 64), 90).convert("RGB").save("a.png")
    asked = ("segment", "a.png", "--prompt", "dog")
    assert "`ldznet weights import net.ckpt --out DIR`" in fails(capsys, 5, *asked, "--model", "net.ckpt")
    tiny = "`ldznet weights import-ldm sd.safetensors --out DIR`"
    assert tiny in fails(
        capsys, 5, "weights", "import", "net.ckpt", "--ldm", "sd.safetensors", "--out", "net"
    )


@pytest.mark.parametrize("verb", ["import", "import-ldm"])
@pytest.mark.parametrize(
    ("bomb", "name"),
    [(Bomb(os.system, "touch ran"), f"{os.name}.system"), (Bomb(eval, "open('ran', 'w')"), "builtins.eval")],
)
def test_a_pickle_that_runs_something(
    verb: str, bomb: Bomb, name: str, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": state, "hyper_parameters": bomb}, "bomb.ckpt")
    line = fails(capsys, 1, "weights", verb, "bomb.ckpt", "--out", "net")
    assert line == f"bomb.ckpt: names {name}, which no weights need; refused, nothing was run"
    assert not Path("ran").exists()


def _dropped(key: str) -> Callable[[State], State]:
    return lambda state: {name: value for name, value in state.items() if name != key}


def _reshaped(key: str) -> Callable[[State], State]:
    return lambda state: {**state, key: torch.zeros(3)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_dropped(RAW + "out.2.bias"), f"missing key {RAW}out.2.bias of shape (1,)"),
        (_reshaped(RAW + "out.2.bias"), f"{RAW}out.2.bias has shape (3,), expected (1,)"),
        (_reshaped(RAW + "label_emb.0.0.bias"), f"unknown key {RAW}label_emb.0.0.bias"),
    ],
)
def test_keys(
    change: Callable[[State], State], words: str, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(change(state), "net.ckpt")
    line = fails(capsys, 1, "weights", "import", "net.ckpt", "--raw", "--out", "net")
    assert line.startswith(f"net.ckpt: {words}")
    assert not Path("net").exists()


def test_folders(tiny_ldm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert "neither a net's config.json" in fails(capsys, 1, "weights", "show", "empty")
    assert "no hashes are recorded in it" in fails(capsys, 1, "weights", "verify", "empty")
    assert "no folder none" in fails(capsys, 5, "weights", "show", "none")
    assert "no folder none" in fails(capsys, 5, "weights", "verify", "none")
    net = tiny_net(Path("net"), tiny_ldm, "znet")
    config = json.loads((net / "config.json").read_text())
    (net / "config.json").write_text(json.dumps({**config, "colour": "red"}))
    Image.effect_noise((96, 64), 90).convert("RGB").save("a.png")
    for asked in (["weights", "show", "net"], ["segment", "a.png", "--prompt", "dog", "--model", "net"]):
        line = fails(capsys, 1, *asked)
        assert line == "net/config.json: unknown fields colour; was it written by a newer ldznet?"
    (net / "config.json").unlink()
    line = fails(capsys, 1, "segment", "a.png", "--prompt", "dog", "--model", "net")
    assert "no config.json in it" in line


def test_verify_names_all_that_is_wrong(tiny_ldm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = tiny_net(Path("net"), tiny_ldm, "znet")
    content = (net / "model.safetensors").read_bytes()
    (net / "model.safetensors").write_bytes(content[:-1] + b"x")
    (net / "ema.safetensors").write_bytes(content)
    line = fails(capsys, 1, "weights", "verify", "net")
    assert "ema.safetensors is there, though config.json does not name it" in line
    assert "model.safetensors: its hash is " in line


def test_an_ldm_that_is_not_the_nets(tiny_ldm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named by hash: expected and found."""
    net = tiny_net(Path("net"), tiny_ldm, "ldznet")
    other = build_ldm(Path("other"), seed=7)
    digests = {}
    for name, folder in (("expected", tiny_ldm), ("found", other)):
        assert main(["weights", "show", str(folder), "--json"]) == 0
        digests[name] = json.loads(capsys.readouterr().out)["digests"]["first_stage"][:12]
    Image.effect_noise((96, 64), 90).convert("RGB").save("a.png")
    line = fails(capsys, 1, "segment", "a.png", "--prompt", "dog", "--model", str(net), "--ldm", "other")
    assert f"whose first_stage is {digests['expected']}; found {digests['found']}" in line


def test_an_ldm_of_another_shape(state: State, tiny_ldm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(state, "net.ckpt")
    line = fails(capsys, 1, "weights", "import", "net.ckpt", "--ldm", str(tiny_ldm), "--out", "net")
    assert line.startswith(
        "net.ckpt: its net has block_out_channels (32, 32, 64), the UNet of --ldm (8, 16, 16)"
    )


def test_an_out_that_is_taken(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(state, "net.ckpt")
    Path("net").mkdir()
    Path("net/mine.txt").write_text("mine")
    line = fails(capsys, 2, "weights", "import", "net.ckpt", "--out", "net")
    assert line == "--out: net is there already; name a new folder, or remove it"
    assert [path.name for path in Path("net").iterdir()] == ["mine.txt"]
