"""Folders of nets and of latent diffusion models, and caches, with one file of theirs damaged: one line, or no harm."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ldznet_cli.errors import CacheError, LdznetError, ModelError
from ldznet_cli.features.census import Census, describe
from ldznet_cli.features.key import FeatureSettings, Key
from ldznet_cli.features.manifest import Manifest
from ldznet_cli.features.store import Store
from ldznet_cli.features.verify import verify
from ldznet_cli.inference import ClipSegPredictor
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.ldm.description import describe as describe_ldm
from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.nets import digest_of, load_net, read_info
from ldznet_cli.samples.geometry import Geometry
from ldznet_cli.training import checkpoint
from ldznet_cli.training.ema import Ema
from tests.fuzz.damage import changed_often, damaged
from tests.tiny_clipseg import tiny_clipseg
from tests.tiny_net import tiny_net


def spoil(path: Path, rng: random.Random) -> None:
    """JSON, and the header of safetensors, mostly by their structure; all else by its bytes."""
    content = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.8:
        path.write_text(json.dumps(changed_often(json.loads(content), rng)))
    elif path.suffix == ".safetensors" and rng.random() < 0.7:
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.dumps(changed_often(json.loads(content[8:end]), rng)).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + content[end:])
    else:
        path.write_bytes(damaged(content, rng))


def outcome(work: Callable[[], Any]) -> str:
    """The kind of refusal, "fine" where there is none; anything else that is raised fails the test."""
    try:
        work()
    except LdznetError as error:
        return type(error).__name__
    return "fine"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("own_cache")
def test_nets(tiny_ldm: Path, tmp_path: Path) -> None:
    whole, spoilt = tiny_net(tmp_path / "whole", tiny_ldm, "ldznet"), tmp_path / "spoilt"
    found: Counter[str] = Counter()
    for seed in range(250):
        rng = random.Random(seed)
        shutil.copytree(whole, spoilt, dirs_exist_ok=True)
        spoil(spoilt / rng.choice(("config.json", "config.json", "model.safetensors")), rng)
        found[outcome(lambda: (read_info(spoilt).check_ldm({}), digest_of(spoilt)))] += 1
        found[outcome(lambda: load_net(spoilt))] += 1
    assert found["ModelError"] > 150


@pytest.mark.usefixtures("own_cache")
def test_latent_diffusion_models(tiny_ldm: Path, tmp_path: Path) -> None:
    def use() -> None:
        ldm = FrozenLDM.load(spoilt)
        ldm.encode_text(["a lamp"])
        assert ldm.schedule.timesteps > 0
        assert ldm.default_size > 0
        assert ldm.digests.combined

    spoilt = tmp_path / "spoilt"
    files = sorted(path.relative_to(tiny_ldm) for path in tiny_ldm.rglob("*") if path.is_file())
    found: Counter[str] = Counter()
    for seed in range(3 * len(files)):
        shutil.copytree(tiny_ldm, spoilt, dirs_exist_ok=True)
        spoil(spoilt / files[seed % len(files)], random.Random(seed))
        found[outcome(use)] += 1
        found[outcome(lambda: describe_ldm(spoilt))] += 1
    assert found["ModelError"] > 5


@pytest.mark.usefixtures("own_cache")
def test_clipsegs(tmp_path: Path) -> None:
    """A folder that is read answers, with probabilities."""
    whole, spoilt = tiny_clipseg(tmp_path / "whole"), tmp_path / "spoilt"
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    image = Image.new("RGB", (40, 30), "red")

    def use() -> None:
        predictor = ClipSegPredictor(spoilt)
        predictor.check(["a lamp"])
        (found,) = predictor.predict(image, "0" * 64, ["a lamp"])
        assert ((found.prob >= 0) & (found.prob <= 1)).all()

    found: Counter[str] = Counter()
    for seed in range(12 * len(files)):
        shutil.copytree(whole, spoilt, dirs_exist_ok=True)
        spoil(spoilt / files[seed % len(files)], random.Random(seed))
        found[outcome(use)] += 1
    assert found["fine"] > 3
    assert found["ModelError"] + found["WeightsUnavailable"] > 5


def test_checkpoints_of_a_training(tmp_path: Path) -> None:
    """One that is read goes on: where it stands is a whole number, and its figures are figures."""
    net = torch.nn.Linear(3, 2)
    ema, optimizer = Ema(net, 0.9), torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    point = {"step": 3, "loss": 0.5}
    progress = checkpoint.Progress(3, 1.5, [point], [0.5], [{"step": 3, "miou": 0.25, "threshold": 0.5}], {})
    whole, spoilt = checkpoint.save(tmp_path, net, ema, optimizer, progress), tmp_path / "spoilt"
    files = sorted(path.name for path in whole.iterdir())

    def use() -> None:
        read = checkpoint.load(spoilt, net, ema, optimizer)
        assert read.step >= 0
        assert all(isinstance(value, float | int) for value in (read.seconds, *read.losses, *read.history))

    found: Counter[str] = Counter()
    for seed in range(300):
        shutil.copytree(whole, spoilt, dirs_exist_ok=True)
        rng = random.Random(seed)
        spoil(spoilt / rng.choice((*files, "state.json")), rng)
        found[outcome(use)] += 1
    assert found["ModelError"] > 100


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("scheduler/scheduler_config.json", {"beta_schedule": "scaled_linear", "beta_start": [0.1]}),
        ("scheduler/scheduler_config.json", {"beta_schedule": "scaled_linear", "beta_start": -0.1}),
        ("scheduler/scheduler_config.json", {"beta_schedule": "linear", "num_train_timesteps": 10**12}),
        ("scheduler/scheduler_config.json", {"trained_betas": [1e308, 1e308, 1e308]}),
        ("tokenizer/merges.txt", b"\x8b\xff"),
        ("model_index.json", {"unet": 3}),
        ("vae/config.json", b"[" * 100_000),
    ],
)
def test_damages_that_were_tracebacks_once(tiny_ldm: Path, tmp_path: Path, file: str, content: Any) -> None:
    spoilt = shutil.copytree(tiny_ldm, tmp_path / "spoilt")
    (spoilt / file).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    def use() -> None:
        ldm = FrozenLDM.load(spoilt, blocks=())
        assert ldm.schedule.timesteps
        assert ldm.digests.combined

    assert outcome(use) in (("fine",) if file == "model_index.json" else ("ModelError",))


@pytest.mark.parametrize(
    "change",
    [
        {"timesteps": [float("inf"), 3]},
        {"threshold": float("nan")},
        {"threshold": 2},
        {"ldm": {"name": "x", "digests": {"unet": 5}}},
    ],
)
def test_fields_of_a_net_that_were_tracebacks_or_nonsense(
    tiny_ldm: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    net = tiny_net(tmp_path / "net", tiny_ldm, "znet")
    config = json.loads((net / "config.json").read_text())
    (net / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match="not of the expected form"):
        read_info(net)


def _cache(folder: Path) -> tuple[Store, Key]:
    """One image's z, in a finished run."""
    digests = LdmDigests("0" * 64, "1" * 64, "2" * 64, "3" * 64)
    settings = FeatureSettings(digests, Geometry("aligned", 64), DrawPolicy(), ())
    store, key = Store(folder), settings.z_key("a" * 64)
    store.write(key, {"z": torch.arange(256.0).reshape(4, 8, 8)}, {"batch": 1})
    Manifest(settings, 1, {"a" * 64: []}, {}).write(folder)
    return store, key


def _parts(content: bytes) -> Any:
    """The header's values and the data: spaces in the header are no damage."""
    end = 8 + int.from_bytes(content[:8], "little")
    try:
        return json.loads(content[8:end]), content[end:]
    except ValueError:
        return content


def test_objects_of_a_cache(tmp_path: Path) -> None:
    """No damage is read as if it were none, whoever looks."""
    store, key = _cache(tmp_path / "cache")
    (name,) = store.names()
    path = store.path_of(name)
    content = path.read_bytes()
    for seed in range(1000):
        rng = random.Random(seed)
        path.write_bytes(content)
        spoil(path, rng)
        if _parts(path.read_bytes()) == _parts(content):
            continue
        with pytest.raises(CacheError, match="is damaged"):
            store.read(key)
        store.is_whole(name)
        assert store.kind_of(name)
        if seed % 20 == 0:
            assert [checked.state for checked in verify(Census(store))] == ["damaged"]
    path.write_bytes(struct.pack("<Q", 100_000) + b"[" * 100_000)
    assert store.kind_of(name) == "damaged"
    assert not store.is_whole(name)


def test_manifests_of_a_cache(tmp_path: Path) -> None:
    store, _ = _cache(tmp_path / "cache")
    (path,) = (tmp_path / "cache" / "manifests").iterdir()
    content = path.read_bytes()
    for seed in range(300):
        path.write_bytes(content)
        spoil(path, random.Random(seed))
        found = describe(store)
        assert len(found["runs"]) + len(found["unreadable_manifests"]) == 1
