"""`ldznet weights …` as users run it: import, show, verify, pull, and then `segment`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ldznet_cli import FrozenLDM, load_net
from ldznet_cli.cli import main
from ldznet_cli.ldm.layout import EMA, FROZEN, RAW
from ldznet_cli.nets import for_ldm, read_info
from tests.nets.authors import SD_LIKE, checkpoint_of, drawn_checkpoint, recorded_checkpoint
from tests.nets.oracle import Oracle, distance
from tests.nets.sizes import inputs_for
from tests.recorded import compare
from tests.single_file import LENGTH, single_file
from tests.small_hub import SmallHub, serving
from tests.tiny import UNET_CONFIG, write_tokenizer

NON_EMA = "unet/diffusion_pytorch_model.non_ema.safetensors"
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def hub(tiny_ldm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    with serving(tiny_ldm, tmp_path / "hub", monkeypatch) as server:
        yield server


def runs(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    assert main(["weights", *arguments]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    return out, err


@torch.no_grad()
def test_import_show_verify_and_segment(tiny_ldm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = for_ldm(UNET_CONFIG, "ldznet")
    _, ema, held = checkpoint_of(config)
    torch.save({"state_dict": held, "global_step": 146_000}, "LDZNet.ckpt")
    out, err = runs(capsys, "import", "LDZNet.ckpt", "--ldm", str(tiny_ldm), "--out", "net", "--json")
    told = json.loads(out)
    assert (told["weights"], told["tensors"], told["frozen_unet"]) == ("ema", len(ema), "another")
    assert {left["what"]: left["count"] for left in told["ignored"]}["raw weights of the net"] == len(ema)
    assert "ignored: 1 key: frozen first stage (the LDM is a folder of its own)" in err
    assert "was trained with another UNet" in err
    net = load_net("net")
    assert all(torch.equal(value, ema[key]) for key, value in net.state_dict().items())
    info = read_info("net")
    assert info.geometry == {"kind": "official", "size": 384}
    assert (info.threshold, info.timesteps) == (0.5, (300, 500))
    assert info.ldm_digests == FrozenLDM.load(tiny_ldm, blocks=()).digests.to_dict()

    shown = json.loads(runs(capsys, "show", "net", "--json")[0])
    assert (shown["kind"], shown["parameters"], shown["blocks"]) == (
        "ldznet",
        told["parameters"],
        [3, 4, 5, 6, 7],
    )
    assert shown["ldm"]["digests"] == info.ldm_digests
    table = runs(capsys, "show", "net")[0]
    assert f"{told['parameters']:,}" in table
    assert info.ldm_digests["unet"] in table
    assert "net: 1 file, each as recorded" in runs(capsys, "verify", "net")[1]

    Image.effect_noise((96, 64), 90).convert("RGB").save("a.png")
    assert main(["segment", "a.png", "--prompt", "dog", "--model", "net", "--ldm", str(tiny_ldm)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["geometry"] == {"kind": "official", "size": 384, "grid": [256, 448]}
    with Image.open(record["mask"]) as mask:
        assert mask.size == (96, 64)
    assert (
        main(["segment", "a.png", "--prompt", "dog", "--model", "net", "--out", "again"]) == 0
    )  # the LDM by name


@torch.no_grad()
def test_goldens_of_our_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint in the official layout → import → the logits that were recorded once, every fourth of them."""
    found = {}
    for kind, flag in (("ldznet", "--ema"), ("ldznet", "--raw"), ("znet", "--ema")):
        config = for_ldm(SD_LIKE, kind, pool_latent=16)
        torch.save({"state_dict": drawn_checkpoint(config)}, "net.ckpt")
        err = runs(capsys, "import", "net.ckpt", flag, "--out", kind + flag)[1]
        assert "without --ldm the net takes any LDM of the shape of CompVis/stable-diffusion-v1-4" in err
        net = load_net(kind + flag)
        for size in ((8, 8), (9, 12)):
            logits = net(*inputs_for(config, size))
            found[f"{kind}{flag}/{size[0]}x{size[1]}"] = logits[:, :, ::4, ::4]
    compare("imported", found, 1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("flag", "recorded", "file"),
    [("--ema", "ldznet_ema", "net.ckpt"), ("--raw", "ldznet_raw", "net.safetensors")],
)
def test_the_authors_logits(
    shared: Path, flag: str, recorded: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way: a checkpoint in the official layout → our folder → load_net → the authors' numbers."""
    oracle = Oracle(shared / "parity")
    held = recorded_checkpoint(oracle)
    if file == "net.ckpt":
        torch.save({"state_dict": held, "global_step": 146_000}, file)
    else:
        save_file(held, file)
    runs(capsys, "import", file, flag, "--out", "net")
    given = (
        oracle.inp("z/48x48", 2, 4, 48, 48),
        oracle.inp("ctx/48x48", 2, 77, 64),
        oracle.features("48x48/sd"),
    )
    logits = load_net("net")(*given)
    if flag == "--raw":
        assert distance(logits[:, :, ::5, ::5], oracle.at_48[f"48x48/{recorded}/logits.slice"]) < 5e-4
    else:
        assert distance(logits, oracle.at_48[f"48x48/{recorded}/logits"]) < 5e-4


def test_import_ldm(capsys: pytest.CaptureFixture[str]) -> None:
    save_file(
        {key: value.contiguous().clone() for key, value in single_file().state.items()}, "sd.safetensors"
    )
    write_tokenizer(Path("words"), LENGTH)
    out, err = runs(capsys, "import-ldm", "sd.safetensors", "--tokenizer", "words", "--out", "sd", "--json")
    assert json.loads(out)["chosen"] == "raw"
    assert "raw weights; parameters: unet " in err
    assert "CreativeML OpenRAIL-M" in err
    shown = json.loads(runs(capsys, "show", "sd", "--json")[0])
    assert shown["source"] == {"file": "sd.safetensors", "weights": "raw", "version": "1.x"}
    assert shown["digests"] == FrozenLDM.load("sd", blocks=()).digests.to_dict()
    assert shown["parts"]["unet"]["class"] == "UNet2DConditionModel"
    assert "12 files" in runs(capsys, "verify", "sd")[1]
    assert main(["weights", "import-ldm", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "The authors of LD-ZNet took the raw weights of sd-v1-4-full-ema.ckpt" in told
    assert "CreativeML OpenRAIL-M" in told


def test_the_one_file_that_holds_both(capsys: pytest.CaptureFixture[str]) -> None:
    """LD-ZNet's training checkpoint with its frozen LDM inside: both folders come from it, and know each other."""
    made = single_file()
    config = for_ldm(dict(made.parts["unet"].config), "ldznet")
    held = {key: value for key, value in made.state.items() if not key.startswith((RAW, EMA))}
    held |= {
        FROZEN + key.removeprefix(RAW): value for key, value in made.state.items() if key.startswith(RAW)
    }
    torch.save({"state_dict": {**held, **drawn_checkpoint(config)}}, "LDZNet.ckpt")
    write_tokenizer(Path("words"), LENGTH)
    out = runs(capsys, "import-ldm", "LDZNet.ckpt", "--tokenizer", "words", "--out", "sd", "--json")[0]
    assert json.loads(out)["chosen"] == "frozen"
    out, err = runs(capsys, "import", "LDZNet.ckpt", "--ldm", "sd", "--out", "net", "--json")
    assert json.loads(out)["frozen_unet"] == "same"
    assert "the frozen UNet inside LDZNet.ckpt is that of " in err
    assert read_info("net").ldm_digests == FrozenLDM.load("sd", blocks=()).digests.to_dict()


def test_pull_and_verify(hub: SmallHub, capsys: pytest.CaptureFixture[str]) -> None:
    folder, err = runs(capsys, "pull", "owner/model")
    assert FrozenLDM.load(folder.strip()).blocks == (3, 4, 5, 6, 7)
    assert "owner/model at 0123456789ab: " in err
    hub.fetched.clear()
    assert runs(capsys, "pull", "owner/model", "--offline")[0] == folder
    assert hub.fetched == []
    assert "each as recorded" in runs(capsys, "verify", folder.strip())[1]
    blob = (Path(folder.strip()) / UNET).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    assert main(["weights", "verify", folder.strip()]) == 1
    assert f"{UNET}: its hash is " in capsys.readouterr().err


def test_pull_into_a_folder_of_its_own(hub: SmallHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.files[NON_EMA] = hub.files[UNET]
    runs(capsys, "pull", "owner/model")  # the cache now holds the average, too
    told = json.loads(runs(capsys, "pull", "owner/model", "--raw", "--out", "sd", "--json")[0])
    assert (told["id"], told["folder"]) == ("owner/model", "sd")
    assert sorted(path.name for path in Path("sd/unet").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    assert not any(path.is_symlink() for path in Path("sd").rglob("*"))
    assert json.loads(runs(capsys, "show", "sd", "--json")[0])["source"]["weights"] == "raw"
    assert FrozenLDM.load("sd").blocks == (3, 4, 5, 6, 7)
    Path("sd/tokenizer/tokenizer.json").write_text("{}")  # would be read, had it been there
    Path("sd", UNET).write_bytes(b"")
    Path("sd/scheduler/scheduler_config.json").unlink()
    assert main(["weights", "verify", "sd"]) == 1
    line = capsys.readouterr().err
    assert f"{UNET}: its hash is e3b0c44298fc, expected " in line
    assert "scheduler/scheduler_config.json is missing" in line
    assert "tokenizer/tokenizer.json is there, though ldznet.json does not name it" in line


def test_pull_of_clipseg(hub: SmallHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.files = {
        "config.json": b'{"model_type": "clipseg"}',
        "model.safetensors": b"weights",
        "pytorch_model.bin": b"pickle",
    }
    runs(capsys, "pull", "owner/model")
    assert sorted(hub.fetched) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["owner/model", "--raw", "--out", "sd"],
            5,
            "owner/model has no raw weights (unet/diffusion_pytorch_model.non",
        ),
        (["owner/model", "--raw"], 2, "--raw needs --out"),
        (["owner/model", "--out", "."], 2, "--out: . is the working folder itself"),
        (["owner/model", "--revision", "nothing"], 5, "owner/model has no revision 'nothing'"),
        (["owner/model", "--offline"], 5, "the hub may not be asked (offline)"),
        (["nonsense"], 5, "a hub id has the form owner/name"),
    ],
)
def test_what_cannot_be_pulled(
    arguments: list[str], code: int, words: str, hub: SmallHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "pull", *arguments]) == code
    out, err = capsys.readouterr()
    assert words in err
    assert (out, err.count("\n")) == ("", 1)
    assert not Path("sd").exists()


def test_offline_by_environment_holds_for_every_verb(
    hub: SmallHub, tiny_ldm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # what HF_HUB_OFFLINE=1 does when Python starts
    Image.effect_noise((96, 64), 90).convert("RGB").save("a.png")
    save_file(
        {key: value.contiguous().clone() for key, value in single_file().state.items()}, "sd.safetensors"
    )
    torch.save(drawn_checkpoint(for_ldm(SD_LIKE, "znet")), "net.ckpt")
    Path("gt.json").write_text(json.dumps(GT))
    asked: list[list[str]] = [
        ["weights", "pull", "owner/model"],
        ["weights", "import", "net.ckpt", "--ldm", "owner/model", "--out", "net"],
        ["weights", "import-ldm", "sd.safetensors", "--out", "sd"],
        ["segment", "a.png", "--prompt", "dog", "--predictor", "clipseg"],
        ["segment", "a.png", "--prompt", "dog", "--vae", "owner/model"],
        ["cache-features", ".", "--gt", "gt.json", "--ldm", "owner/model"],
        ["train", "--gt", "gt.json", "--ldm", "owner/model", "--out", "run"],
    ]
    for arguments in asked:
        assert main(arguments) == 5, arguments
        assert "the hub may not be asked (offline)" in capsys.readouterr().err
    assert hub.fetched == []


GT = {
    "images": [{"id": 1, "file_name": "a.png", "width": 96, "height": 64}],
    "categories": [{"id": 1, "name": "dog"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [[0, 0, 50, 0, 50, 50]],
            "bbox": [0, 0, 50, 50],
        }
    ],
}
