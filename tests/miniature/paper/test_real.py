"""The study's part on pictures of others, here on drawn ones in the same folders."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.errors import NothingToDo
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.nets import Tested
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.real import SPLITS, photographs
from ldznet_cli.miniature.paper.real import test_real as real_net
from ldznet_cli.miniature.paper.run import Study
from ldznet_cli.miniature.paper.scores import Scores
from ldznet_cli.miniature.recipe import tiny
from ldznet_cli.miniature.scenes import write_dataset
from ldznet_cli.training.config import preset

STEPS = preset("miniature", steps=2, batch=2, warmup=1, validate_every=2, checkpoint_every=1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    for name, style, count in (("coco-instances", "photo", 24), ("coco-panoptic", "sketch", 3)):
        list(write_dataset(folder / name, style, count, seed=5))
    list(write_dataset(folder / "codraw-clipart", "cartoon", 24, seed=5))
    return folder


def test_splits_share_no_image_and_ask_only_what_training_knows(pictures: Path) -> None:
    for split in (make(pictures) for make in SPLITS.values()):
        sides = [{image.path for image in part.by_image()} for part in vars(split).values()]
        assert all(sides)
        assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
        known = {sample.phrase for sample in split.training.samples}
        assert {s.phrase for part in (split.validation, split.test) for s in part.samples} <= known
        assert len({part.digest for part in vars(split).values()}) == 3
    whole = photographs(pictures)
    assert "sketch" in whole.test.samples[0].image.name


def test_without_a_folder_they_are_not_asked_and_refused_by_name(tmp_path: Path) -> None:
    world = World(tmp_path / "work", Protocol(), tiny(), lambda: 11, tmp_path / "figures")
    study = Study(world, tmp_path / "paper")
    assert not [job for job in study.missing() if job.real]
    with pytest.raises(NothingToDo, match="--real"):
        list(study.run(study.missing(("real-clip-art-mean",))))


def test_a_net_and_the_floor_are_trained_and_scored(pictures: Path, shared: Path, tmp_path: Path) -> None:
    for name in ("taesd", "clip-bpe"):
        (pictures / name).symlink_to(shared / "data" / name)
    protocol = replace(
        Protocol(version=0), training=STEPS, seeds=(0,), learning_rates=(1e-3,), real_size=64, replicates=10
    )
    world = World(tmp_path / "work", protocol, tiny(), lambda: 11, tmp_path / "figures", real=pictures)
    study = Study(world, tmp_path / "paper")
    with pytest.raises(NothingToDo, match="rate-rgbnet-0.001 must be run first"):
        list(study.run(study.missing(("real-photographs-rgbnet",))))
    list(study.run(study.missing(("real-photographs-mean",))))
    mean = study.results()["real-photographs-mean"]
    assert mean.test_seed is None
    net = yield_of(real_net(world, "photographs", "rgbnet", 2e-3))
    assert net[0]["learning_rate"] == 2e-3
    for about, numbers in ((mean.about, mean.numbers), (net[0], net[1].numbers)):
        assert about["split"]["test"]["images"] == 3
        assert 0 <= numbers["all/mIoU@own"] <= 1


def yield_of(running: Tested) -> tuple[Mapping[str, Any], Scores]:
    """What a job returns at its end."""
    while True:
        try:
            next(running)
        except StopIteration as end:
            value: tuple[Mapping[str, Any], Scores] = end.value
            return value
