"""What trackers are told, and that they are closed whatever happens."""

import sys
import types

import pytest

from ldznet_cli.errors import UsageError
from ldznet_cli.training.loop import TrainEvent
from ldznet_cli.training.trackers import TRACKERS, Recorder, tell, tracked
from ldznet_cli.training.validation import Validation

EVENTS = [
    TrainEvent("step", 1, loss=0.5, learning_rate=0.1),
    TrainEvent("validation", 1, validation=Validation(1, 0.25, 0.4, 0.2, 9), best=True),
    TrainEvent("checkpoint", 1),
]


def test_steps_and_validations_are_told_checkpoints_are_not():
    recorder = Recorder()
    for event in EVENTS:
        tell(event, [recorder])
    assert recorder.points == [
        (1, {"train/loss": 0.5, "train/learning_rate": 0.1}),
        (1, {"validation/mIoU": 0.25, "validation/threshold": 0.4, "validation/mIoU_at_half": 0.2}),
    ]


def test_tensorboard_holds_a_resumed_run_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start, losses in ((0, (0.9, 0.8, 0.7)), (2, (0.6, 0.5))):  # the third step was lost with the process
        with tracked(["tensorboard"], tmp_path, {}, start) as trackers:
            for place, loss in enumerate(losses):
                tell(TrainEvent("step", start + place + 1, loss=loss, learning_rate=0.1), trackers)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = [(point.step, round(point.value, 3)) for point in events.Scalars("train/loss")]
    assert found == [(1, 0.9), (2, 0.8), (3, 0.6), (4, 0.5)]


def test_wandb_gets_settings_numbers_and_its_end(tmp_path, monkeypatch):
    told: list[object] = []
    run = types.SimpleNamespace(
        id="a1b2",
        log=lambda values, step: told.append((step, values)),
        finish=lambda: told.append("finished"),
    )
    fake = types.SimpleNamespace(init=lambda **options: told.append(options) or run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    out = tmp_path / "ldznet-1"
    with pytest.raises(KeyboardInterrupt), tracked(["wandb"], out, {"seed": 4}, 0) as trackers:
        tell(EVENTS[0], trackers)
        raise KeyboardInterrupt
    assert told == [
        {"project": "ldznet", "name": "ldznet-1", "dir": out, "config": {"seed": 4}},
        (1, {"train/loss": 0.5, "train/learning_rate": 0.1}),
        "finished",
    ]
    for start, known in ((0, {}), (1, {"id": "a1b2", "resume": "allow"})):  # begun anew; gone on
        told.clear()
        with tracked(["wandb"], out, {"seed": 4}, start):
            pass
        assert told[0] == {
            "project": "ldznet",
            "name": "ldznet-1",
            "dir": out,
            "config": {"seed": 4},
            **known,
        }


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_a_tracker_that_is_not_installed_says_what_to_install(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"--track \w+ needs .*pip install"):
        TRACKERS[name](tmp_path, {}, 0)
