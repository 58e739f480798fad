"""`ldznet train` as a user runs it: from a cache and live, resumed, refused."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ldznet_cli.cli import main
from ldznet_cli.features import CachedFeatures, FeatureItem, LiveFeatures
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.nets import load_net, read_info
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.images import sha256_of
from ldznet_cli.samples.view import ViewPolicy
from tests.samples.data_sets import write_phrasecut
from tests.training.world import squares

SMALL = ["--head-width", "2", "--batch", "4", "--steps", "3", "--preset", "miniature", "--device", "cpu"]


@pytest.fixture(scope="module")
def gt(tmp_path_factory):
    return squares(tmp_path_factory.mktemp("squares") / "set").path


@pytest.fixture(scope="module")
def cache(tmp_path_factory, gt, tiny_ldm):
    folder = tmp_path_factory.mktemp("cache")
    options = [
        "--gt",
        str(gt),
        "--ldm",
        str(tiny_ldm),
        "--cache",
        str(folder),
        "--size",
        "64",
        "--device",
        "cpu",
    ]
    assert main(["cache-features", *options, "--draws", "2"]) == 0
    return folder


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def train(gt, tiny_ldm, *options):
    return main(["train", "--gt", str(gt), "--ldm", str(tiny_ldm), *SMALL, *map(str, options)])


@pytest.mark.parametrize("net", ["rgbnet", "znet", "ldznet"])
def test_a_run_from_the_cache_is_a_net_that_knows_its_ldm(gt, cache, tiny_ldm, tmp_path, net, capsys):
    run = tmp_path / "run"
    assert train(gt, tiny_ldm, "--cache", cache, "--net", net, "--out", run, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    info = read_info(run)
    assert info.config.kind == net
    assert info.geometry == {"kind": "aligned", "size": 64}
    assert info.threshold == told["best"]["threshold"]
    assert info.ldm_digests["unet"]
    loaded = load_net(run)
    assert not loaded.training
    record = json.loads((run / "training.json").read_text())
    assert record["step"] == 3
    assert len(record["validations"]) == 1


def test_live_features_need_no_cache(gt, tiny_ldm, tmp_path):
    run = tmp_path / "run"
    assert train(gt, tiny_ldm, "--net", "ldznet", "--size", "64", "--out", run) == 0
    assert json.loads((run / "training.json").read_text())["settings"]["features"] == "live"


def test_the_same_command_goes_on_and_ends_with_the_same_bits(gt, cache, tiny_ldm, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--cache", cache, "--net", "ldznet"]
    assert train(gt, tiny_ldm, *options, "--out", whole) == 0
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["ldznet_cli.cli.train"], "stop_on_interrupt", PressedAtOnce)
        assert train(gt, tiny_ldm, *options, "--out", parts) == 130
    assert train(gt, tiny_ldm, *options, "--out", parts) == 0
    for name in ("model.safetensors", "ema.safetensors"):
        first, second = load_file(whole / name), load_file(parts / name)
        assert [key for key in first if not torch.equal(first[key], second[key])] == []


class PressedAtOnce:
    def __enter__(self):
        return lambda: True

    def __exit__(self, *_):
        return None


def _error(capsys) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


def test_other_settings_in_the_same_folder_are_refused_by_name(gt, cache, tiny_ldm, tmp_path, capsys):
    options = ["--cache", cache, "--net", "znet", "--out", tmp_path / "run"]
    assert train(gt, tiny_ldm, *options) == 0
    assert train(gt, tiny_ldm, *options, "--learning-rate", "0.5") == 2
    assert "learning_rate is 0.0005 there and 0.5 here" in _error(capsys)
    assert train(gt, tiny_ldm, *options, "--learning-rate", "0.5", "--overwrite") == 0
    live = ["--net", "znet", "--size", "64", "--out", tmp_path / "run", "--learning-rate", "0.5"]
    assert train(gt, tiny_ldm, *live) == 2
    assert "features is cached there and live here" in _error(capsys)


def test_a_folder_with_something_else_in_it_is_left_alone(gt, cache, tiny_ldm, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("x")
    assert train(gt, tiny_ldm, "--cache", cache, "--out", tmp_path) == 2
    assert "is not empty and holds no training run" in _error(capsys)
    assert train(gt, tiny_ldm, "--cache", cache, "--out", tmp_path, "--overwrite") == 2
    assert (tmp_path / "thesis.txt").exists()


def test_overwriting_begins_anew_and_takes_the_logs_along(gt, cache, tiny_ldm, tmp_path, capsys):
    run = tmp_path / "run"
    options = ["--cache", cache, "--net", "znet", "--out", run, "--track", "tensorboard"]
    assert train(gt, tiny_ldm, *options) == 0
    (run / "training.png").write_bytes(b"drawn by `ldznet plot`")
    former = (run / "training.json").read_bytes()
    others = ["--learning-rate", "0.5", "--overwrite"]
    assert train(gt, tiny_ldm, *options, *others, "--dry-run") == 0
    assert train(gt, tiny_ldm, *options, *others, "--negatives", "2") == 2
    assert (run / "training.json").read_bytes() == former
    assert len(list((run / "checkpoints").iterdir())) == 1
    assert train(gt, tiny_ldm, *options, *others) == 0
    assert json.loads((run / "training.json").read_text())["settings"]["learning_rate"] == 0.5
    assert len(list((run / "tensorboard").iterdir())) == 1
    (run / "training.json").write_text("torn")
    assert train(gt, tiny_ldm, *options) == 1
    assert "--overwrite" in _error(capsys)
    assert train(gt, tiny_ldm, *options, "--overwrite") == 0


def test_logs_alone_are_no_other_s_folder(gt, cache, tiny_ldm, tmp_path):
    """A run that ended before its first record, or was taken away by hand."""
    (tmp_path / "run" / "tensorboard").mkdir(parents=True)
    assert train(gt, tiny_ldm, "--cache", cache, "--net", "znet", "--out", tmp_path / "run") == 0


@pytest.fixture(scope="module")
def more(tmp_path_factory, gt):
    """Other images, annotated, in a folder of their own."""
    return squares(tmp_path_factory.mktemp("more") / "set", count=7, seed=1).path


def _cached(gt, tiny_ldm, cache, *options):
    made = ["--gt", str(gt), "--ldm", str(tiny_ldm), "--cache", str(cache), "--size", "64", "--device", "cpu"]
    assert main(["cache-features", *made, *options]) == 0


def test_validation_from_another_file_is_looked_for_before_the_first_step(
    gt, cache, more, tiny_ldm, tmp_path, capsys
):
    run = ["--net", "znet", "--val-gt", more, "--out", tmp_path / "run"]
    other = tmp_path / "cache"
    _cached(gt, tiny_ldm, other, "--draws", "2")
    capsys.readouterr()
    assert train(gt, tiny_ldm, "--cache", other, *run) == 1
    assert f"cache-features --gt {more}" in _error(capsys)
    assert not (tmp_path / "run").exists()
    _cached(more, tiny_ldm, other)
    assert train(gt, tiny_ldm, "--cache", other, *run) == 0
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert record["settings"]["draws"] == 2  # the newer run in the cache, of one draw, has not these images
    assert record["samples"]["validation"] == len(load_coco(more).samples)


def test_images_of_validation_may_lie_elsewhere(gt, more, tiny_ldm, tmp_path, capsys):
    alone = tmp_path / "annotations" / "val.json"
    alone.parent.mkdir()
    alone.write_bytes(more.read_bytes())
    run = ["--net", "rgbnet", "--size", "64", "--val-gt", alone, "--out", tmp_path / "run"]
    assert train(gt, tiny_ldm, *run) == 1
    assert "--val-images" in _error(capsys)
    assert train(gt, tiny_ldm, *run, "--val-images", more.parent / "images") == 0


def test_negatives_are_what_the_annotations_know_to_be_absent(gt, tiny_ldm, tmp_path):
    """Not whatever else was cached for the same images."""
    from ldznet_cli.samples.negatives import absent_among

    other = json.loads(gt.read_text())
    for annotation in other["annotations"]:
        annotation["phrase"] = "bright thing"
    second = gt.with_name("second.json")
    second.write_text(json.dumps(other))
    cache = tmp_path / "cache"
    for path in (gt, second):
        _cached(path, tiny_ldm, cache)
    samples = load_coco(gt)
    phrases = CachedFeatures.open(cache).phrases
    assert "bright thing" in phrases(samples.samples[0].image)
    assert set().union(*absent_among(samples, phrases).values()) == {"circle"}


def test_other_groups_are_another_run(gt, tiny_ldm, tmp_path, capsys):
    groups = tmp_path / "groups.json"
    groups.write_text(json.dumps({"box": [1]}))
    run = ["--net", "rgbnet", "--size", "64", "--out", tmp_path / "run"]
    assert train(gt, tiny_ldm, *run) == 0
    assert train(gt, tiny_ldm, *run, "--groups", groups) == 2
    assert "groups is None there" in _error(capsys)


def test_a_phrase_said_of_two_things_has_views_of_each(gt, tiny_ldm, tmp_path):
    """Data sets in which the same words are said of different things tell them apart by `sample_id`."""
    twice = json.loads(gt.read_text())
    first = next(a for a in twice["annotations"] if a["segmentation"])
    corner = {"segmentation": [[0, 0, 24, 0, 24, 24, 0, 24]], "id": 900, "sample_id": "second"}
    twice["annotations"].append({**first, **corner})
    first["sample_id"] = "first"
    path = gt.with_name("twice.json")
    path.write_text(json.dumps(twice))
    _cached(path, tiny_ldm, tmp_path / "cache", "--views", "2", "--crop", "0.6")
    run = ["--cache", tmp_path / "cache", "--net", "znet", "--steps", "12", "--out", tmp_path / "run"]
    assert train(path, tiny_ldm, *run) == 0


def test_a_cache_of_another_ldm_is_refused(gt, cache, tmp_path, capsys):
    from tests.tiny import tiny_ldm as build

    other = build(tmp_path / "other", seed=1)
    assert train(gt, other, "--cache", cache, "--out", tmp_path / "run") == 1
    assert "the cache differs in" in _error(capsys)


def test_a_phrase_that_is_not_in_the_cache(gt, cache, tiny_ldm, tmp_path, capsys):
    more = json.loads(gt.read_text())
    more["annotations"][0]["phrase"] = "unheard of"
    other = gt.with_name("more.json")
    other.write_text(json.dumps(more))
    assert train(other, tiny_ldm, "--cache", cache, "--out", tmp_path / "run", "--negatives", "0") == 1
    message = _error(capsys)
    assert "'unheard of'" in message
    assert "ldznet cache-features" in message


def test_missing_options_and_files(gt, tiny_ldm, tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "run")]) == 2
    assert "--gt" in _error(capsys)
    assert train(tmp_path / "none.json", tiny_ldm, "--out", tmp_path / "run") == 2
    assert "none.json" in _error(capsys)


def test_dry_run_says_what_it_takes_and_writes_nothing(gt, cache, tiny_ldm, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(gt, tiny_ldm, "--cache", cache, "--out", run, "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"] > 1000
    assert told["seconds_per_step"] > 0
    # Weights, average, gradients and the optimiser's two moments, four bytes each; PyTorch alone takes 100 MB more.
    assert told["state_bytes"] == 4 * 5 * told["parameters"]
    assert told["peak_bytes"] > 100 * 2**20 + told["state_bytes"]
    assert not run.exists()


def test_every_number_of_a_preset_can_be_said(gt, cache, tiny_ldm, tmp_path):
    told = {
        "schedule": "constant",
        "warmup": 1,
        "weight_decay": 0.5,
        "clip": 0.0,
        "ema": 0.5,
        "validation_samples": 2,
        "checkpoint_every": 1,
        "keep": 3,
    }
    options = [word for name, value in told.items() for word in (f"--{name.replace('_', '-')}", value)]
    run = tmp_path / "run"
    assert train(gt, tiny_ldm, "--cache", cache, "--net", "znet", "--out", run, *options) == 0
    record = json.loads((run / "training.json").read_text())
    found = record["settings"]
    assert {
        name: found[name] for name in told if name not in ("keep", "checkpoint_every")
    }.items() <= told.items()
    assert len(list((run / "checkpoints").iterdir())) == 3
    assert record["validations"][-1]["samples"] == 2


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--fusion", "concat", "--init", "random"], {"init": "random"}),
        (["--passes", "2", "--recompute"], {}),
        (
            ["--dtype", "bfloat16", "--validation-share", "0.4"],
            {"precision": "bfloat16", "validation_share": 0.4},
        ),
    ],
    ids=["concat", "passes", "bfloat16"],
)
def test_other_ways_to_train(gt, cache, tiny_ldm, tmp_path, options, settings):
    run = tmp_path / "run"
    assert train(gt, tiny_ldm, "--cache", cache, "--steps", "1", "--out", run, *options) == 0
    found = json.loads((run / "training.json").read_text())["settings"]
    assert {name: found[name] for name in settings} == settings
    fusion = "concat" if "concat" in options else "cross-attention"
    assert read_info(run).config.fusion == fusion


def test_converted_data_sets_are_trained_on(tiny_ldm, tmp_path):
    """What `data convert` writes has a `sample_id` for each sample, and images of a data set's own sizes."""
    folder = write_phrasecut(tmp_path / "VGPhraseCut_v0")
    gt = folder / "gt.json"
    assert main(["data", "convert", "phrasecut", str(folder), "--out", str(gt)]) == 0
    for image in json.loads(gt.read_text())["images"]:
        place = folder / "images" / image["file_name"]
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (image["width"], image["height"]), (90, 120, 40)).save(place)
    run = tmp_path / "run"
    assert train(gt, tiny_ldm, "--net", "znet", "--size", "64", "--negatives", "0", "--out", run) == 0
    assert json.loads((run / "training.json").read_text())["step"] == 3


@pytest.mark.parametrize("machines", [1, 2])
def test_two_processes_train_the_same_net_as_one(gt, cache, tiny_ldm, tmp_path, machines):
    """Two on one machine, or one on each of two, started by PyTorch's own launcher: Accelerate's starts processes on
    CPUs by MPI alone, and without it one, whatever it is asked for."""
    options = ["--gt", gt, "--ldm", tiny_ldm, *SMALL, "--cache", cache, "--net", "znet"]
    assert train(gt, tiny_ldm, "--cache", cache, "--net", "znet", "--out", tmp_path / "one") == 0
    launch = [
        "-m",
        "torch.distributed.run",
        "--nnodes",
        str(machines),
        "--nproc_per_node",
        str(2 // machines),
    ]
    launch += ["--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    verb = ["-m", "ldznet_cli", "train", *map(str, options), "--out", str(tmp_path / "two"), "--json"]
    started = [
        subprocess.Popen(
            [sys.executable, *launch, "--node_rank", str(rank), *verb],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank in range(machines)
    ]
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * machines, outputs
    printed, said = ("".join(texts) for texts in zip(*outputs, strict=True))
    assert json.loads(printed)["steps"] == 3  # one line: one process speaks
    assert said.count("step 3: validation") == 1
    one, two = (load_file(tmp_path / run / "model.safetensors") for run in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=2e-4, rtol=1e-3, msg=key)
    first, second = (json.loads((tmp_path / run / "training.json").read_text()) for run in ("one", "two"))
    assert (first["processes"], second["processes"]) == (1, 2)
    losses = [[point["loss"] for point in record["curve"]] for record in (first, second)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


def test_a_gpu_is_not_shared_with_reading_processes(gt, tiny_ldm, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ldznet_cli.cli.models.resolve_device", lambda name: "cuda:0")
    assert train(gt, tiny_ldm, "--workers", "2", "--out", tmp_path / "run") == 2
    assert "--workers" in capsys.readouterr().err


def test_tensorboard_files_lie_in_the_run(gt, cache, tiny_ldm, tmp_path):
    run = tmp_path / "run"
    assert train(gt, tiny_ldm, "--cache", cache, "--net", "znet", "--out", run, "--track", "tensorboard") == 0
    assert list((run / "tensorboard").glob("events.*"))


def test_views_train_from_the_cache_as_they_do_live(gt, tiny_ldm, tmp_path):
    """Squares and mirrored images: the same ones, with the same features, whether they were cached or not."""
    views = ["--crop", "0.6", "--flip"]
    options = ["--gt", str(gt), "--ldm", str(tiny_ldm), "--size", "64", "--device", "cpu", "--seed", "3"]
    storage = ["--storage-dtype", "float32", "--batch", "1"]
    cache = tmp_path / "cache"
    assert main(["cache-features", *options, *storage, "--views", "2", *views, "--cache", str(cache)]) == 0
    cached = CachedFeatures.from_manifest(cache)
    policy = cached.manifest.views
    assert policy == ViewPolicy(0.6, True, 3, 2)
    ldm = FrozenLDM.load(tiny_ldm)
    live = LiveFeatures(ldm, cached.settings.geometry, cached.settings.policy, batch=1)
    found = set()
    for sample in load_coco(gt).samples:
        mask = None if sample.absent else sample.mask()
        size = (sample.width, sample.height)
        for index in (1, 2):
            view = policy.of(sha256_of(sample.image.path), sample.phrase, index, size, mask)
            found.add(view)
            image = replace(sample.image, view=view)
            item = [FeatureItem(view.of_phrase(sample.phrase))]
            kept, made = cached.features(image, item)[0], live.features(image, item)[0]
            assert torch.equal(kept.z, made.z)
            assert all(torch.equal(kept.blocks[block], made.blocks[block]) for block in made.blocks)
    assert len({view.flip for view in found}) == 2
    run = ["--cache", cache, "--net", "ldznet", "--seed", "3"]
    assert train(gt, tiny_ldm, *run, "--out", tmp_path / "run") == 0
    settings = json.loads((tmp_path / "run" / "training.json").read_text())["settings"]
    assert settings["views"] == {"crop": 0.6, "flip": True, "seed": 3, "count": 2}


def test_views_that_do_not_fit_the_cache_are_refused(gt, cache, tiny_ldm, tmp_path, capsys):
    run = ["--cache", cache, "--net", "znet", "--out", tmp_path / "run"]
    assert train(gt, tiny_ldm, *run, "--crop", "0.5") == 2
    assert "the views in the cache" in capsys.readouterr().err
    assert train(gt, tiny_ldm, *run, "--crop", "2") == 2
    assert "a share in (0, 1], found 2" in capsys.readouterr().err
    told = ["cache-features", "--gt", str(gt), "--ldm", str(tiny_ldm), "--cache", str(tmp_path / "c")]
    assert main([*told, "--views", "2"]) == 2
    assert "--crop and --flip" in capsys.readouterr().err
    assert main([*told, "--crop", "7", "--views", "2"]) == 2
    assert "a share in (0, 1], found 7" in capsys.readouterr().err


def test_live_training_on_views(gt, tiny_ldm, tmp_path):
    live = ["--size", "64", "--net", "rgbnet", "--crop", "1", "--out", tmp_path / "run"]
    assert train(gt, tiny_ldm, *live) == 0
    settings = json.loads((tmp_path / "run" / "training.json").read_text())["settings"]
    assert settings["views"] == {"crop": 1.0, "flip": False, "seed": 0, "count": None}
