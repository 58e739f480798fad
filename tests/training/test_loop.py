"""The loop: resumed equals uninterrupted, whatever stops it; what it learns from; how it fails."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from diffusers.models.resnet import ResnetBlock2D
from safetensors.torch import load_file

from ldznet_cli.errors import CacheError, Interrupted, LdznetError, ModelError
from ldznet_cli.nets import build_net, for_ldm
from ldznet_cli.nets.recompute import recompute_activations
from ldznet_cli.nets.transformer import SpatialTransformer, use_plain_attention
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.training import checkpoint
from ldznet_cli.training.config import TrainConfig
from ldznet_cli.training.dataset import TrainingSet, question
from ldznet_cli.training.learner import Learner
from ldznet_cli.training.loop import Run, TrainEvent, train
from ldznet_cli.training.validation import validate
from tests.nets.sizes import inputs_for
from tests.tiny import UNET_CONFIG
from tests.training.world import Dot, reader, squares

CONFIG = TrainConfig(
    steps=14,
    batch=3,
    learning_rate=1e-2,
    warmup=2,
    validate_every=5,
    checkpoint_every=3,
    negatives=0.3,
    seed=4,
)


def session(
    folder: Path, samples: SampleSet, config: TrainConfig = CONFIG, **options: Any
) -> Iterator[TrainEvent]:
    """One process's work on the run in `folder`."""
    source = reader(samples)
    absent = {sample.image: ("circle", "moon") for sample in samples.samples}
    held = samples.samples[:4]
    data = TrainingSet(
        samples.samples,
        source,
        batch=config.batch,
        seed=config.seed,
        negatives=config.negatives,
        absent=absent,
    )
    hooks: dict[str, Any] = {
        "validate": lambda net, step: validate(net, held, source, step),
        "save_best": lambda run, net, threshold: None,
    }
    return train(config, Run(folder, options.pop("net", None) or Dot()), data, **hooks | options)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Everything that the newest checkpoint holds."""
    newest = checkpoint.latest(folder)
    assert newest is not None
    return {
        f"{part}/{key}": value
        for part in ("net", "ema", "optimizer")
        for key, value in load_file(newest / f"{part}.safetensors").items()
    }


def assert_same_bits(found: Path, expected: Path) -> None:
    first, second = weights(found), weights(expected)
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return squares(tmp_path_factory.mktemp("squares") / "set")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, samples):
    folder = tmp_path_factory.mktemp("whole")
    return folder, list(session(folder, samples))


def test_events_come_in_order_and_old_checkpoints_go(uninterrupted):
    folder, events = uninterrupted
    assert [e.step for e in events if e.kind == "step"] == list(range(1, 15))
    assert [e.step for e in events if e.kind == "validation"] == [5, 10, 14]
    assert [e.step for e in events if e.kind == "checkpoint"] == [3, 6, 9, 12, 14]
    kept = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert kept == ["step-00000012", "step-00000014"]


@pytest.mark.parametrize("at", range(1, 14))
def test_stopped_and_resumed_is_bit_identical(uninterrupted, samples, tmp_path, at):
    with pytest.raises(Interrupted, match=f"step {at} of 14"):
        done = []
        for event in session(tmp_path, samples, stop=lambda: len(done) >= at):
            done.extend([event] if event.kind == "step" else [])
    events = list(session(tmp_path, samples))
    assert events[0].step == at + 1
    assert_same_bits(tmp_path, uninterrupted[0])


def _until_killed(folder: Path, samples: SampleSet, config: TrainConfig, at: int) -> None:
    for event in session(folder, samples, config):
        if event.step == at:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("at", "workers"), [(2, 0), (8, 0), (11, 2)])
def test_killed_and_resumed_is_bit_identical(uninterrupted, samples, tmp_path, at, workers):
    config = replace(CONFIG, workers=workers)
    child = multiprocessing.get_context("fork").Process(
        target=_until_killed, args=(tmp_path, samples, config, at)
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    events = list(session(tmp_path, samples, config))
    assert events[0].step == at // 3 * 3 + 1  # from the checkpoint before
    assert_same_bits(tmp_path, uninterrupted[0])


def test_bfloat16_resumes_to_the_same_bits_too(samples, tmp_path):
    config = replace(CONFIG, precision="bfloat16", steps=6)
    list(session(tmp_path / "whole", samples, config))
    assert_resumes(tmp_path / "whole", samples, config)


def test_passes_and_recomputing_change_nothing_but_rounding(uninterrupted, samples, tmp_path):
    config = replace(CONFIG, passes=2, recompute=True)
    events = list(session(tmp_path, samples, config))
    expected = [event.loss for event in uninterrupted[1] if event.kind == "step"]
    assert [event.loss for event in events if event.kind == "step"] == pytest.approx(expected, abs=1e-5)
    first, second = weights(tmp_path), weights(uninterrupted[0])
    for key, value in first.items():
        torch.testing.assert_close(value, second[key], atol=1e-4, rtol=1e-3, msg=key)
    assert_resumes(tmp_path, samples, config)


def test_recomputed_activations_give_the_gradients_of_those_that_are_kept():
    """Of a real LD-ZNet, whose blocks are what it is about; with the attention that trains on a CPU."""
    config = for_ldm(UNET_CONFIG, "ldznet")
    inputs = inputs_for(config, (8, 8))
    found = []
    for recompute in (False, True):
        net = build_net(config, seed=3)
        use_plain_attention(net)
        wrapped = [part for part in net.modules() if isinstance(part, ResnetBlock2D | SpatialTransformer)]
        assert len(wrapped) > 10
        if recompute:
            recompute_activations(net)
            assert all("forward" in vars(part) for part in wrapped)
        logits = net(*inputs)
        logits.square().mean().backward()
        found.append([logits.detach(), *(part.grad for part in net.parameters() if part.grad is not None)])
    assert len(found[0]) == len(found[1])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_attention_in_training_is_that_of_inference():
    config = for_ldm(UNET_CONFIG, "ldznet")
    net, inputs = build_net(config, seed=3), inputs_for(config, (8, 8))
    with torch.no_grad():
        fused = net(*inputs)
        use_plain_attention(net)
        torch.testing.assert_close(net(*inputs), fused, atol=1e-5, rtol=1e-4)


def assert_resumes(whole: Path, samples: SampleSet, config: TrainConfig) -> None:
    parts = whole / "parts"
    with pytest.raises(Interrupted):
        list(session(parts, samples, config, stop=lambda: True))
    list(session(parts, samples, config))
    assert_same_bits(parts, whole)


def test_float16_scales_its_gradients_and_resumes(samples, tmp_path):
    config = replace(CONFIG, precision="float16", steps=4)
    list(session(tmp_path, samples, config))
    newest = checkpoint.latest(tmp_path)
    assert json.loads((newest / "state.json").read_text())["scaler"]["scale"] > 1
    assert_resumes(tmp_path, samples, config)


def test_the_loss_falls(samples, tmp_path):
    config = replace(CONFIG, steps=400, negatives=0.0, learning_rate=3e-2)
    losses = [event.loss for event in session(tmp_path, samples, config) if event.kind == "step"]
    assert sum(losses[-20:]) < 0.75 * sum(losses[:20])


def test_a_loss_that_is_not_finite_names_the_samples(samples, tmp_path):
    net = Dot()
    torch.nn.init.constant_(net.up.bias, float("nan"))
    with pytest.raises(LdznetError, match=r"the loss is nan on \d+\.png \('(square|circle|moon)"):
        list(session(tmp_path, samples, net=net))


def test_only_the_samples_at_fault_are_named(samples):
    batch = reader(samples).batch([question(sample) for sample in samples.samples[:2]], [0, 0])
    batch.inputs[1] = float("nan")
    learner = Learner(Dot(), CONFIG, Accelerator(cpu=True))
    with pytest.raises(LdznetError, match="the loss is nan on ") as caught:
        learner.forward(batch)
    first, second = (name in str(caught.value) for name in batch.names)
    assert (first, second) == (False, True)


def test_a_gradient_that_is_not_finite_names_the_samples_and_changes_nothing(samples, tmp_path):
    net = Dot()
    net.up.bias.register_hook(lambda gradient: gradient * float("inf"))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(LdznetError, match=r"the gradient is not finite at \d+\.png \('(square|circle|moon)"):
        list(session(tmp_path, samples, net=net))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_no_memory_for_a_step_says_what_takes_less(samples, tmp_path, monkeypatch):
    def full(*_: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("ldznet_cli.training.learner.Learner.backward", full)
    with pytest.raises(LdznetError, match="no memory left for a step of 3 samples.*--passes") as told:
        list(session(tmp_path, samples))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_said_in_one_line(samples, tmp_path, monkeypatch, workers):
    def missing(*_: Any) -> None:
        raise CacheError("the cache c has no z for image 3.png")

    monkeypatch.setattr("ldznet_cli.training.dataset.Reader.batch", missing)
    with pytest.raises(CacheError) as told:
        list(session(tmp_path, samples, replace(CONFIG, workers=workers)))
    assert str(told.value) == "the cache c has no z for image 3.png"


def test_a_damaged_checkpoint_is_named(samples, tmp_path):
    list(session(tmp_path, samples, replace(CONFIG, steps=3)))
    newest = checkpoint.latest(tmp_path)
    (newest / "optimizer.safetensors").write_bytes(b"\x08\0\0\0")
    with pytest.raises(ModelError, match=r"step-00000003 cannot be used"):
        list(session(tmp_path, samples))


def test_a_half_written_checkpoint_is_not_taken_for_one(uninterrupted, samples, tmp_path):
    list(session(tmp_path, samples, replace(CONFIG, steps=3)))
    half = tmp_path / "checkpoints" / ".step-00000012.99"
    half.mkdir()
    (half / "net.safetensors").write_bytes(b"half")
    assert next(session(tmp_path, samples)).step == 4
    list(session(tmp_path, samples))
    assert not half.exists()
