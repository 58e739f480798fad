"""`ldznet cache-features` as its user meets it: what it says, what it leaves, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ldznet_cli.cli import cache_report, main
from ldznet_cli.features import CachedFeatures, FeatureItem, Shard, Store
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.samples.images import Geometry, ImageRef, sha256_of
from ldznet_cli.samples.view import ViewPolicy
from tests.faults.scene import ended, forked, until
from tests.small_hub import SmallHub, serving


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three images and annotations of two of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    folder = tmp_path / "images"
    folder.mkdir()
    for name, seed in (("a.png", 0), ("b.png", 1), ("c.png", 2)):
        pixels = np.random.default_rng(seed).integers(0, 256, (80, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    images = [
        {"id": n, "file_name": f"{name}.png", "width": 96, "height": 80} for n, name in enumerate("abc")
    ]
    box = [[8, 8, 40, 8, 40, 40, 8, 40]]
    annotations = [
        {"id": 1, "image_id": 0, "category_id": 1, "segmentation": box, "phrase": "red lamp"},
        {"id": 2, "image_id": 0, "category_id": 2, "segmentation": box},
        {"id": 3, "image_id": 1, "category_id": 2, "segmentation": box},
    ]
    for annotation in annotations:
        annotation |= {"bbox": [8, 8, 32, 32], "area": 1024, "iscrowd": 0}
    categories = [{"id": 1, "name": "lamp"}, {"id": 2, "name": "tree"}]
    gt = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "gt.json").write_text(json.dumps(gt))
    return tmp_path


@pytest.fixture
def run(tiny_ldm: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """`run(arguments…)` → (exit code, standard output, standard error), with the tiny LDM at 64 pixels."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["cache-features", "--ldm", str(tiny_ldm), "--size", "64", "--batch", "2", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_images_and_prompts(place: Path, run: Any) -> None:
    code, out, err = run("images", "--prompt", "lamp", "--prompt", " red  cup", "--template", "{}.")
    assert (code, out) == (0, "")
    assert "11 objects to make (3 z, 2 text, 6 features), 0 already there" in err
    assert "wrote 11 objects" in err
    cached = CachedFeatures.open(Path("ldznet-cache"))
    assert cached.phrases(ImageRef(place / "images" / "a.png", "a.png")) == ("lamp", "red cup")
    assert cached.settings.storage == "float16"
    assert cached.settings.geometry == Geometry("aligned", 64)


def test_a_second_run_does_nothing_and_says_so(place: Path, run: Any) -> None:
    run("images", "--prompt", "lamp")
    before = {path: path.stat().st_mtime_ns for path in Path("ldznet-cache").rglob("*")}
    code, out, err = run("images", "--prompt", "lamp")
    assert (code, out) == (0, "")
    assert err.startswith("ldznet: nothing to do: all ")
    assert err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in Path("ldznet-cache").rglob("*")} == before


@pytest.mark.parametrize("folder", [["images"], ["--images", "images"], []])
def test_annotations(place: Path, run: Any, folder: list[str]) -> None:
    assert run("--gt", "gt.json", *folder)[0] == 0
    cached = CachedFeatures.open(Path("ldznet-cache"))
    found = {
        name: cached.phrases(ImageRef(place / "images" / name, name)) for name in ("a.png", "b.png", "c.png")
    }
    assert found == {"a.png": ("red lamp", "tree"), "b.png": ("tree",), "c.png": ()}


def test_negatives_are_cached_with_the_rest(place: Path, run: Any) -> None:
    assert run("--gt", "gt.json", "--negatives", "2")[0] == 0
    cached = CachedFeatures.open(Path("ldznet-cache"))
    assert cached.phrases(ImageRef(place / "images" / "b.png", "b.png")) == ("red lamp", "tree")
    assert cached.phrases(ImageRef(place / "images" / "a.png", "a.png")) == ("red lamp", "tree")


def test_every_setting_reaches_the_cache(place: Path, run: Any, tiny_ldm: Path) -> None:
    code, out, _ = run(
        *(
            "images/a.png",
            "--prompt",
            "lamp",
            "--cache",
            "c",
            "--blocks",
            "4,3",
            "--draws",
            "3",
            "--timesteps",
            "5:9",
        ),
        *("--seed", "7", "--geometry", "square", "--template", "a {}!", "--storage-dtype", "int8"),
        *("--dtype", "bfloat16", "--threads", "1", "--device", "cpu", "--offline", "--json", "--quiet"),
    )
    assert code == 0
    summary = json.loads(out)
    assert (summary["objects_written"], summary["failed"], summary["cache"]) == (1 + 1 + 3, [], "c")
    settings = CachedFeatures.open(Path("c")).settings
    assert settings.policy == DrawPolicy(7, (5, 9), "a {}!")
    assert settings.geometry == Geometry("square", 64)
    assert (settings.blocks, settings.storage, settings.compute) == ((3, 4), "int8", "bfloat16")
    assert settings.digests == FrozenLDM.load(tiny_ldm).digests
    assert json.loads(Path(summary["manifest"]).read_text())["arithmetic"]["batch"] == 2


def test_z_only_needs_no_phrase(place: Path, run: Any) -> None:
    code, _, err = run("images", "--z-only")
    assert code == 0
    assert "3 objects to make (3 z)" in err
    assert CachedFeatures.open(Path("ldznet-cache"), blocks=()).settings.blocks == ()


def test_another_first_stage(place: Path, run: Any, tiny_ldm: Path) -> None:
    from tests.tiny import tiny_ldm as build

    other = build(place / "other", first_stage="tiny", seed=5)
    assert run("images", "--prompt", "lamp", "--vae", str(other))[0] == 0
    digests = CachedFeatures.open(Path("ldznet-cache")).settings.digests
    assert digests.first_stage == FrozenLDM.load(other).digests.first_stage
    assert digests.unet == FrozenLDM.load(tiny_ldm).digests.unet


def test_dry_run_counts_and_does_nothing(place: Path, run: Any) -> None:
    code, out, _ = run("images", "--prompt", "lamp", "--dry-run", "--json")
    numbers = json.loads(out)
    assert code == 0
    assert numbers["objects"]["features"]["missing"] == 3
    assert 0 < numbers["bytes_to_write"] < numbers["free_bytes"]
    code, out, _ = run("images", "--prompt", "lamp", "--dry-run")
    assert code == 0
    assert "features" in out
    assert "to write" in out
    assert not Path("ldznet-cache").exists()


def test_settings_from_the_file(place: Path, run: Any, tiny_ldm: Path) -> None:
    Path("ldznet.toml").write_text(
        f'ldm = {json.dumps(str(tiny_ldm))}\ncache = "elsewhere"\n'
        '[cache-features]\nsources = ["images"]\nprompt = ["lamp"]\nsize = 64\n'
    )
    assert main(["cache-features"]) == 0
    assert len(list(Store("elsewhere").names())) > 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "no images: name files or folders"),
        (["images"], 2, "no phrases: give --prompt"),
        (["images", "--prompt", "lamp", "--gt", "gt.json"], 2, "--gt and --prompt exclude each other"),
        (["images", "--prompt", "lamp", "--negatives", "1"], 2, "belong to --gt"),
        (["images", "--gt", "gt.json", "--images", "images"], 2, "one folder of images"),
        (["no-such-folder", "--prompt", "lamp"], 2, "no-such-folder"),
        (["empty", "--prompt", "lamp"], 4, "no image found in empty"),
        (["images", "--prompt", "  "], 2, "the phrase is empty"),
        (["images", "--prompt", "lamp", "--prompt", "zq " * 40], 2, "tokens too long"),
        (["images", "--prompt", "lamp", "--template", "no place"], 2, "should hold {} once"),
        (["images", "--prompt", "lamp", "--blocks", "five"], 2, "--blocks 'five'"),
        (["images", "--prompt", "lamp", "--blocks", "99"], 2, "there is no block 99"),
        (["images", "--prompt", "lamp", "--timesteps", "300"], 2, "--timesteps '300'"),
        (["images", "--prompt", "lamp", "--timesteps", "9:5"], 2, "timesteps 9:5 are no range"),
        (["images", "--prompt", "lamp", "--timesteps", "0:1001"], 2, "HIGH is at most 1000"),
        (["images", "--prompt", "lamp", "--size", "70"], 2, "multiple of 8"),
        (["images", "--prompt", "lamp", "--device", "abacus"], 2, "abacus"),
        (["images", "--prompt", "lamp", "--ldm", "no-such-model"], 5, "no-such-model"),
        (["--gt", "no.json"], 2, "no.json"),
        (["--gt", "broken.json"], 1, "broken.json"),
        (["--gt", "nothing.json"], 4, "has no annotation with a phrase"),
        (["--gt", "outside.json"], 1, "outside"),
        (["images", "--prompt", "lamp", "--cache", "gt.json"], 1, "gt.json"),
        (["images", "--prompt", "lamp", "--shard", "0/4"], 2, "--shard '0/4': expected I/N"),
        (["images", "--prompt", "lamp", "--retry-failed"], 4, "nothing has failed in ldznet-cache"),
        (["images", "--prompt", "lamp", "--address", "auto"], 2, "--address belongs to --engine ray"),
        (["images", "--prompt", "lamp", "--workers", "2"], 2, "--workers belongs to --engine ray"),
        (
            ["images", "--prompt", "lamp", "--engine", "ray", "--gpus-per-worker", "1.5"],
            2,
            "--gpus-per-worker 1.5: expected a part of one GPU, or whole ones",
        ),
        (["images", "--prompt", "lamp", "--gpus-per-worker", "0"], 2, "--gpus-per-worker belongs to"),
        (["images", "--prompt", "lamp", "--threads-per-worker", "1"], 2, "--threads-per-worker belongs to"),
        (["images", "--prompt", "lamp", "--engine", "ray", "--threads", "1"], 2, "--threads belongs to"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_cache(
    place: Path, run: Any, arguments: list[str], code: int, message: str
) -> None:
    Path("empty").mkdir()
    Path("broken.json").write_text('{"images": [')
    nothing = {**json.loads(Path("gt.json").read_text()), "annotations": []}
    Path("nothing.json").write_text(json.dumps(nothing))
    outside = json.loads(Path("gt.json").read_text())
    outside["images"][0]["file_name"] = "../../outside.png"
    Path("outside.json").write_text(json.dumps(outside))
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("ldznet: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not Path("ldznet-cache").exists()


def test_unreadable_images_fail_alone(place: Path, run: Any) -> None:
    good = (place / "images" / "a.png").read_bytes()
    (place / "images" / "truncated.png").write_bytes(good[: len(good) // 2])
    (place / "images" / "zero.jpg").write_bytes(b"")
    (place / "images" / "text.png").write_text("not an image")
    code, out, err = run("images", "--prompt", "lamp", "--json")
    assert code == 3
    assert err.splitlines()[-1] == (
        "ldznet: error: 3 of 6 images could not be cached: see ldznet-cache/failed.jsonl; the others are done"
    )
    assert {Path(failure["image"]).name for failure in json.loads(out)["failed"]} == {
        "truncated.png",
        "zero.jpg",
        "text.png",
    }
    lines = Path("ldznet-cache/failed.jsonl").read_text().splitlines()
    assert {json.loads(line)["name"] for line in lines} == {"truncated.png", "zero.jpg", "text.png"}
    cached = CachedFeatures.open(Path("ldznet-cache"))
    assert cached.features(ImageRef(place / "images" / "a.png", "a.png"), [FeatureItem("lamp")])
    assert run("images", "--prompt", "lamp")[0] == 3
    for line in lines:
        Path(json.loads(line)["image"]).unlink()
    assert run("images", "--prompt", "lamp")[0] == 0
    assert not Path("ldznet-cache/failed.jsonl").exists()


def test_shards_have_a_part_each_and_a_list_of_failures_each(place: Path, run: Any) -> None:
    (place / "images" / "bad.png").write_bytes(b"not an image")
    found = [run("images", "--prompt", "lamp", "--shard", f"{number}/2") for number in (1, 2)]
    assert sorted(code for code, _, _ in found) == [0, 3]
    [listed] = Path("ldznet-cache").glob("failed*")
    number = 1 + [code for code, _, _ in found].index(3)
    assert listed.name == f"failed.{number}-of-2.jsonl"
    assert f"see {listed}; the others are done" in found[number - 1][2]
    (place / "images" / "bad.png").unlink()
    code, _, err = run("images", "--prompt", "lamp")
    assert (code, "nothing to do" in err) == (0, True)
    cached = CachedFeatures.open(Path("ldznet-cache"))
    assert all(cached.phrases(ImageRef(path, path.name)) == ("lamp",) for path in Path("images").iterdir())


def test_a_cluster_that_is_not_there(place: Path, run: Any) -> None:
    code, out, err = run("images", "--prompt", "lamp", "--engine", "ray", "--address", "127.0.0.1:1")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("ldznet: error: no Ray cluster at 127.0.0.1:1: ")


def test_a_batch_that_does_not_fit_is_halved_and_that_is_said_once(
    place: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FrozenLDM.features

    def small(self: FrozenLDM, z: Any, *rest: Any) -> Any:
        if len(z) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(self, z, *rest)

    monkeypatch.setattr(FrozenLDM, "features", small)
    code, _, err = run("images", "--prompt", "lamp", "--draws", "5", "--batch", "8")
    assert code == 0
    warnings = [line for line in err.splitlines() if "warning" in line]
    assert warnings == [
        "ldznet: warning: out of memory: batches of 2 from here on; each object says what made it"
    ]
    cached = CachedFeatures.open(Path("ldznet-cache"))
    unit = cached.manifest.unit(next(iter(cached.manifest.items)))
    request = unit.requests[0]
    key = cached.settings.features_key(unit.sha256, request.prompt, request.draw)
    assert Store("ldznet-cache").read(key).made["batch"] == 2  # 5 rows in three batches


def test_the_time_that_is_left_is_told_after_the_first_images(
    place: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_report, "_FIRST", 0.0)
    monkeypatch.setattr(cache_report, "_LONG", 0.0)
    _, _, err = run("images", "--prompt", "lamp", "--draws", "4")
    [line] = [line for line in err.splitlines() if line.endswith(" left")]
    assert re.fullmatch(r"ldznet: [0-9]+/[0-9]+ objects, [0-9.e+]+/s, [0-9]+:[0-9]{2} left", line)


def test_no_room_is_said_before_any_work(place: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "free_bytes", lambda self: 10_000)
    code, _, err = run("images", "--prompt", "lamp")
    assert code == 1
    assert "GB free: choose another --cache" in err.splitlines()[-1]
    code, out, err = run("images", "--prompt", "lamp", "--dry-run")
    assert code == 1
    assert "to make" in out
    assert not Path("ldznet-cache").exists()


def test_a_disk_that_runs_full_leaves_whole_objects(
    place: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = [], os.fsync

    def runs_full(file: int) -> None:
        synced.append(file)
        if len(synced) > 5:
            raise OSError(28, "No space left on device")
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", runs_full)
        code, _, err = run("images", "--prompt", "lamp")
    assert code == 1
    assert "no space left to write ldznet-cache/" in err.splitlines()[-1]
    assert len(list(Store("ldznet-cache").names())) == 5
    assert run("images", "--prompt", "lamp")[0] == 0


def test_a_damaged_manifest_does_not_stop_a_run_but_a_reader(place: Path, run: Any) -> None:
    run("images", "--prompt", "lamp")
    [manifest] = Path("ldznet-cache/manifests").iterdir()
    manifest.unlink()
    code, _, err = run("images", "--prompt", "lamp")
    assert code == 0
    assert "nothing to do" in err
    assert manifest.exists()


def test_ctrl_c_for_real(place: Path, run: Any, tiny_ldm: Path) -> None:
    """The command in a forked child (importing takes seconds), stopped by a true SIGINT in mid-run."""
    arguments = ["images", "--prompt", "lamp", "--draws", "30", "--cache", "stopped"]
    told, store = place / "told.txt", Store("stopped")

    def command() -> None:
        with told.open("w") as sys.stderr:
            os._exit(
                main(["cache-features", "--ldm", str(tiny_ldm), "--size", "64", "--batch", "2", *arguments])
            )

    child = forked(command)
    until(lambda: len(list(store.names())) >= 15)
    os.kill(child, signal.SIGINT)
    assert ended(child) == 130
    line = told.read_text().splitlines()[-1]
    assert line.startswith("ldznet: error: interrupted; ")
    assert line.endswith("in stopped, all of them whole: the same command makes the rest")
    assert not list(store.root.rglob("*.part"))
    assert not (store.root / "manifests").exists()
    kept = list(store.names())
    assert all(store.is_whole(name) for name in kept)
    code, _, err = run(*arguments)
    assert code == 0
    assert f"{len(kept)} already there" in err


@pytest.fixture
def hub(tiny_ldm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """A hub with the tiny model, on a machine that has nothing of it yet."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with serving(tiny_ldm, tmp_path / "hub", monkeypatch) as server:
        yield server


def test_z_only_by_hub_id_needs_no_weights_of_the_unet(
    place: Path, hub: SmallHub, tiny_ldm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--size", "64", "--z-only", "--cache", "c", "--device", "cpu"]
    assert main(["cache-features", "--gt", "gt.json", "images", "--ldm", "owner/model", *options]) == 0
    assert "unet/diffusion_pytorch_model.safetensors" not in hub.fetched
    # Where the whole model is, it is the same model, as far as z and text go.
    cached = CachedFeatures.open("c", ldm_digests=FrozenLDM.load(tiny_ldm).digests, blocks=())
    assert cached.settings.digests.unet is None
    next(Path("c/objects").rglob("*.safetensors")).write_bytes(b"")
    for ldm in ("owner/model", str(tiny_ldm)):
        repair = ["--repair", "--ldm", ldm, "--images", "images", "--device", "cpu"]
        assert main(["cache", "verify", "c", *repair]) == 0
        next(Path("c/objects").rglob("*.safetensors")).write_bytes(b"")


def test_training_from_a_cache_by_hub_id_fetches_the_unet_to_start_from(place: Path, hub: SmallHub) -> None:
    ldm = ["--gt", "gt.json", "--images", "images", "--ldm", "owner/model", "--cache", "c", "--device", "cpu"]
    assert main(["cache-features", *ldm, "--size", "64", "--z-only"]) == 0
    small = ["--net", "znet", "--head-width", "2", "--batch", "1", "--steps", "1", "--preset", "miniature"]
    assert main(["train", *ldm, *small, "--negatives", "0", "--init", "ldm", "--out", "run"]) == 0
    assert "unet/diffusion_pytorch_model.safetensors" in hub.fetched


def test_a_shard_draws_no_other_s_views(place: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And all of them together are the whole."""
    of, drawn = ViewPolicy.of, []

    def drawing(self: ViewPolicy, sha256: str, *rest: Any) -> Any:
        drawn.append(sha256)
        return of(self, sha256, *rest)

    monkeypatch.setattr(ViewPolicy, "of", drawing)
    asked = ["--gt", "gt.json", "--images", "images", "--views", "2", "--crop", "0.7", "--flip"]
    for number in (1, 2):
        drawn.clear()
        assert run(*asked, "--shard", f"{number}/2", "--cache", "parts")[0] == 0
        assert {sha256 for sha256 in drawn if not Shard(number, 2).holds(sha256)} == set()
        assert set(drawn) == {
            name
            for name in map(sha256_of, (place / "images" / "a.png", place / "images" / "b.png"))
            if Shard(number, 2).holds(name)
        }
    assert run(*asked, "--cache", "whole")[0] == 0
    parts, whole = (CachedFeatures.open(name).manifest for name in ("parts", "whole"))
    assert (parts.items, parts.seen) == (whole.items, whole.seen)
    assert sorted(Store("parts").names()) == sorted(Store("whole").names())
