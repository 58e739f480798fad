"""The probes: the one minimum of logistic regression, an AP with its interval, and a block that knows is told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from ldznet_cli.analysis.logistic import fit
from ldznet_cli.analysis.pooled_precision import PooledPrecision
from ldznet_cli.analysis.probes import ProbeRecipe, object_samples, on_grid, probe_scores, table
from ldznet_cli.errors import UsageError
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.miniature.scenes import write_dataset
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.sample import Sample

RECIPE = ProbeRecipe(timesteps=(100, 700), side=32, template="{}", replicates=50)
DRAW = np.random.Generator(np.random.Philox(key=7))


def test_on_hard_targets_it_is_scikit_learn_s() -> None:
    rows = DRAW.normal(size=(300, 5)) * [1, 2, 0.5, 3, 1] + 4
    targets = (rows @ [1, -1, 0.5, 0, 2] + DRAW.normal(size=300) > rows.mean() * 2.5).astype(float)
    ridge = 0.01
    ours = fit(rows, targets, ridge)
    standard = (rows - rows.mean(0)) / rows.std(0)
    theirs = LogisticRegression(C=1 / (ridge * 300), tol=1e-10, max_iter=1000).fit(standard, targets)
    expected = theirs.predict_proba(standard)[:, 1]
    np.testing.assert_allclose(ours.probabilities(rows), expected, atol=1e-4)


def test_shares_are_met_on_average_and_a_constant_column_is_left_out() -> None:
    rows = np.concatenate([DRAW.normal(size=(200, 3)), np.full((200, 1), 6.0)], axis=1).astype(np.float32)
    shares = DRAW.random(200)
    found = fit(rows, shares, 1e-3)
    assert found.weights[3] == 0
    assert found.probabilities(rows).mean() == pytest.approx(shares.mean(), abs=1e-4)


def test_what_can_be_separated_still_has_one_answer() -> None:
    rows = np.linspace(-1, 1, 40)[:, None]
    targets = (rows[:, 0] > 0).astype(float)
    first, second = fit(rows, targets, 1e-4), fit(rows[::-1], targets[::-1], 1e-4)
    assert first.weights == pytest.approx(second.weights)
    assert ((first.probabilities(rows) > 0.5) == (targets > 0.5)).all()


def test_pooled_precision_is_over_all_pixels() -> None:
    pooled, probs, masks = PooledPrecision(replicates=200), [], []
    for image in range(12):
        mask = DRAW.random((16, 16)) < 0.2
        probs.append(np.clip(0.3 * mask + 0.6 * DRAW.random((16, 16)), 0, 1).astype(np.float32))
        masks.append(mask)
        pooled.update(f"{image // 2}.png", probs[-1], mask)
    expected = average_precision_score(np.ravel(masks), np.rint(np.ravel(probs) * 4095))
    assert pooled.average_precision() == pytest.approx(expected, abs=1e-6)
    assert pooled.chance == pytest.approx(np.mean(masks))
    low, high = pooled.interval()
    assert low < expected < high
    assert high - low < 0.2


def test_of_one_image_there_is_no_interval_and_of_no_mask_no_precision() -> None:
    pooled = PooledPrecision()
    pooled.update("a.png", np.ones((4, 4), dtype=np.float32), np.zeros((4, 4), dtype=bool))
    assert pooled.average_precision() == 0
    assert pooled.interval() == (0, 0)


def test_a_mask_on_a_grid_is_the_share_of_each_position() -> None:
    mask = np.zeros((4, 8), dtype=bool)
    mask[:2, :3] = True
    np.testing.assert_allclose(on_grid(mask, (2, 2)), [[0.75, 0], [0, 0]])


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("scenes")
    list(write_dataset(folder, "photo", 6, 55, absent=1))
    return list(load_coco(folder / "annotations.json").samples)


def halves(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    names = sorted({sample.image.name for sample in samples})[:3]
    objects = object_samples(samples, 1000)
    return [s for s in objects if s.image.name in names], [s for s in objects if s.image.name not in names]


def test_objects_that_are_there(samples: list[Sample]) -> None:
    found = object_samples(samples, 7, seed=1)
    assert len(found) == 7
    assert all(sample.kind == "thing" and not sample.absent for sample in found)
    assert found == object_samples(samples, 7, seed=1) != object_samples(samples, 7, seed=2)


def test_every_block_at_every_timestep(samples: list[Sample], tiny_ldm: Path) -> None:
    ldm = FrozenLDM.load(tiny_ldm, blocks=(0, 4, 5))
    training, test = halves(samples)
    scores = list(probe_scores(ldm, training, test, RECIPE))
    assert [(s.block, s.timestep) for s in scores] == [(b, t) for t in (100, 700) for b in (0, 4, 5)]
    assert all(0 < s.low < s.high <= 1 and 0 < s.ap <= 1 for s in scores)
    names, timesteps, cells = table(scores[::-1])
    assert names == ["down_blocks.0.attentions.0", "mid_block.attentions.0", "up_blocks.1.attentions.0"]
    assert timesteps == [100, 700]
    assert cells[2][1] == scores[5]
    later = list(probe_scores(ldm, training, test, replace(RECIPE, timesteps=(700,))))
    assert later == scores[3:]  # a run that went on is the same run
    blind = next(probe_scores(ldm, training, test, replace(RECIPE, timesteps=(700,), blind=True)))
    assert blind.ap != later[0].ap
    with pytest.raises(UsageError, match="block 5 at timestep 700 is missing"):
        table(scores[:-1])


class Knowing(FrozenLDM):
    """Its second block shows where the phrase is; its first is noise."""

    def __init__(self, known: FrozenLDM, masks: list[np.ndarray]) -> None:
        self.__dict__.update(known.__dict__)
        self.masks = iter(masks)

    def features(self, z, text, timestep, noise):  # type: ignore[no-untyped-def]
        random = torch.from_numpy(DRAW.normal(size=(len(z), 3, 8, 8)))
        shown = random.clone()
        shown[:, 1] += 4 * torch.from_numpy(np.stack([on_grid(next(self.masks), (8, 8)) for _ in z]))
        return {0: random, 1: shown}


def test_a_block_that_knows_is_told_from_one_that_does_not(samples: list[Sample], tiny_ldm: Path) -> None:
    training, test = halves(samples)
    known = FrozenLDM.load(tiny_ldm, blocks=(0, 1))
    knowing = Knowing(known, [sample.mask() for sample in (*training, *test)])
    blank, good = probe_scores(knowing, training, test, replace(RECIPE, timesteps=(300,)))
    assert blank.ap == pytest.approx(blank.chance, abs=0.06)
    assert good.ap > 3 * blank.ap


def test_what_cannot_be_probed(samples: list[Sample], tiny_ldm: Path) -> None:
    ldm = FrozenLDM.load(tiny_ldm, blocks=(0,))
    training, test = halves(samples)
    with pytest.raises(UsageError, match="0 to train, "):
        list(probe_scores(ldm, [], test, RECIPE))
    with pytest.raises(UsageError, match="among the training and the test images"):
        list(probe_scores(ldm, training, training, RECIPE))
    with pytest.raises(UsageError, match="loaded without blocks"):
        list(probe_scores(FrozenLDM.load(tiny_ldm, blocks=()), training, test, RECIPE))


def test_images_of_any_shape_get_one_grid(tmp_path: Path, samples: list[Sample], tiny_ldm: Path) -> None:
    training, test = halves(samples)
    Image.new("RGB", (90, 60), "red").save(tmp_path / "wide.png")
    wide = replace(training[0].image, path=tmp_path / "wide.png", name="wide.png")
    ldm = FrozenLDM.load(tiny_ldm, blocks=(0,))
    mixed = [*training, replace(training[0], image=wide)]
    assert len(list(probe_scores(ldm, mixed, test, replace(RECIPE, timesteps=(10,))))) == 1
