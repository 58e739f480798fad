"""The ceiling, the controls and the subsets of the study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldznet_cli.errors import UsageError
from ldznet_cli.features import FeatureItem
from ldznet_cli.features.source import FeatureSource, RandomFeatures
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.miniature.paper.ceiling import ceilings, through
from ldznet_cli.miniature.paper.controls import SwappedFeatures, ZeroedFeatures, partners, write_random_ldm
from ldznet_cli.miniature.paper.subsets import fewer_scenes, without_class
from ldznet_cli.miniature.scenes import write_dataset
from ldznet_cli.samples.coco import SampleSet, load_coco
from ldznet_cli.samples.listing import ImageRef


def block(y: int, x: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((32, 32), dtype=bool)
    mask[y : y + height, x : x + width] = True
    return mask


def test_on_the_image_s_own_grid_nothing_is_lost() -> None:
    masks = [("object", block(3, 5, 7, 9)), ("stuff", block(0, 0, 20, 32))]
    for found in ceilings(masks, [(32, 32)]):
        assert (found.miou, found.grid) == (1.0, (32, 32))


def test_a_coarser_grid_costs_more_and_small_round_things_most() -> None:
    y, x = np.mgrid[:32, :32]
    masks = [("object", np.hypot(y - 13.7, x - 9.3) < 5.2), ("stuff", block(0, 0, 19, 32))]
    found = {(c.grid[0], c.kind): c for c in ceilings(masks, [(16, 16), (4, 4)])}
    assert found[4, "object"].miou < found[16, "object"].miou <= 1
    assert found[4, "object"].miou < found[4, "stuff"].miou
    assert found[4, "all"].masks == 2
    assert found[4, "all"].miou <= (found[4, "object"].miou + found[4, "stuff"].miou) / 2 + 1e-9


def test_by_hand() -> None:
    mask = np.zeros((2, 4), dtype=bool)
    mask[:, :2] = True
    np.testing.assert_allclose(through(mask, (1, 2)), [[1, 0.75, 0.25, 0]] * 2)
    [every, kind] = ceilings([("object", mask)], [(1, 2)])
    assert every.miou == kind.miou == 1.0
    assert 0.25 <= kind.threshold < 0.75


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    folder = tmp_path_factory.mktemp("scenes")
    list(write_dataset(folder, "photo", 8, 91, absent=2))
    return load_coco(folder / "annotations.json")


SOURCE = RandomFeatures(blocks={3: (2, 4, 4), 5: (3, 2, 2)})
ITEMS = [FeatureItem("red lamp"), FeatureItem("sky")]


def test_zeros_take_the_place_of_blocks_alone(samples: SampleSet) -> None:
    source = ZeroedFeatures(SOURCE)
    assert isinstance(source, FeatureSource)
    for one, own in zip(
        source.features(samples.images[0], ITEMS), SOURCE.features(samples.images[0], ITEMS), strict=True
    ):
        assert torch.equal(one.z, own.z)
        assert torch.equal(one.text, own.text)
        assert {index: tuple(b.shape) for index, b in one.blocks.items()} == {3: (2, 4, 4), 5: (3, 2, 2)}
        assert not any(b.any() for b in one.blocks.values())
        assert all(b.any() for b in own.blocks.values())


def test_another_image_s_blocks_for_the_same_phrase(samples: SampleSet) -> None:
    first, second = samples.images[:2]
    found = SwappedFeatures(SOURCE, {first: second}).features(first, ITEMS)
    own, other = SOURCE.features(first, ITEMS), SOURCE.features(second, ITEMS)
    for one, mine, theirs in zip(found, own, other, strict=True):
        assert torch.equal(one.z, mine.z)
        assert not torch.equal(one.z, theirs.z)
        assert one.prompt == mine.prompt
        assert all(torch.equal(one.blocks[index], theirs.blocks[index]) for index in (3, 5))


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(0, 5))
def test_nobody_is_its_own_partner_and_everybody_is_one(count: int, seed: int) -> None:
    images = [ImageRef(Path(str(index)), str(index)) for index in range(count)]
    found = partners(images, seed)
    assert set(found) == set(found.values()) == set(images)
    assert all(image != other for image, other in found.items())
    assert found == partners(images, seed)


def test_a_partner_needs_a_second_image() -> None:
    with pytest.raises(UsageError, match="at least two images"):
        partners([ImageRef(Path("a"), "a")] * 2)


def test_a_random_unet_in_an_ldm_that_is_otherwise_the_same(tiny_ldm: Path, tmp_path: Path) -> None:
    folders = [
        write_random_ldm(tiny_ldm, tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    whole, one, same, other = (FrozenLDM.load(f) for f in (tiny_ldm, *folders))
    assert one.digests == same.digests
    assert len({ldm.digests.unet for ldm in (whole, one, other)}) == 3
    for part in ("text", "first_stage", "schedule"):
        assert getattr(one.digests, part) == getattr(whole.digests, part)
    z, noise = torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8)
    text = one.encode_text(["a cat"])
    features, others = (ldm.features(z, text, 400, noise) for ldm in (one, other))
    assert features.keys() == others.keys()
    assert all(f.isfinite().all() and f.std() > 0 for f in features.values())
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}
    with pytest.raises(UsageError, match="is there already"):
        write_random_ldm(tiny_ldm, tmp_path / "a")


def test_a_class_is_left_out_with_all_its_phrases_and_nothing_else(samples: SampleSet) -> None:
    name = next(
        s.category for s in samples.samples if s.kind == "thing" and s.phrase != s.category and not s.absent
    )
    kept = without_class(samples, name)
    gone = [sample for sample in samples.samples if sample not in set(kept.samples)]
    assert len(gone) >= 2
    assert all(name in sample.phrase for sample in gone)
    assert not any(name in sample.phrase for sample in kept.samples)
    assert kept.images == samples.images
    assert len({kept.digest, samples.digest, without_class(samples, "sky").digest}) == 3
    with pytest.raises(UsageError, match="no phrase of the class 'unicorn'"):
        without_class(samples, "unicorn")
    assert without_class(samples, "unicorn", missing_ok=True).samples == samples.samples


def test_fewer_scenes_are_nested(samples: SampleSet) -> None:
    sets = [fewer_scenes(samples, count, seed=4) for count in (2, 5, 8)]
    assert [len(found.images) for found in sets] == [2, 5, 8]
    assert set(sets[0].images) < set(sets[1].images) < set(sets[2].images)
    assert set(sets[2].samples) == set(samples.samples)
    for found in sets:
        expected = [sample for sample in samples.samples if sample.image in set(found.images)]
        assert list(found.samples) == expected
    assert len({found.digest for found in sets}) == 3
    assert any(set(fewer_scenes(samples, 2, seed).images) != set(sets[0].images) for seed in range(4))
    for count in (0, 9):
        with pytest.raises(UsageError, match="has 8 images"):
            fewer_scenes(samples, count)
