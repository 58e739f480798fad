"""Batches: what is in them, and that nothing but their number decides it."""

from dataclasses import replace

import pytest
import torch

from ldznet_cli.features.source import RandomFeatures
from ldznet_cli.samples.segmentation import Polygons
from ldznet_cli.samples.view import ViewPolicy
from ldznet_cli.training.dataset import Reader, TrainingSet, question
from tests.training.world import GEOMETRY, reader, squares


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return squares(tmp_path_factory.mktemp("squares") / "set")


def _set(samples, **options):
    return TrainingSet(samples.samples, reader(samples), batch=3, seed=1, **options)


def test_a_batch_is_a_function_of_its_number(samples):
    forwards, backwards = _set(samples), _set(samples)
    ahead = {number: forwards[number] for number in range(8)}
    for number in reversed(range(8)):
        batch = backwards[number]
        assert batch.names == ahead[number].names
        assert torch.equal(batch.inputs, ahead[number].inputs)
        assert torch.equal(batch.features[2], ahead[number].features[2])
        assert torch.equal(batch.target, ahead[number].target)


def test_shapes_and_true_masks(samples):
    batch = _set(samples)[0]
    count, _, height, width = batch.target.shape
    assert batch.inputs.shape == (count, 4, height // 8, width // 8)
    assert batch.text.shape == (count, 4, 6)
    assert set(batch.target.unique().tolist()) == {0.0, 1.0}
    assert (
        batch.target.sum((1, 2, 3)) > 300
    ).all()  # squares of 32 x 32, in half as many pixels where scaled


def test_absent_samples_of_the_file_are_no_positives(samples):
    assert any(sample.absent for sample in samples.samples)
    assert {sample.phrase for sample in _set(samples).samples} == {"square"}


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_share_of_negatives(samples, share):
    absent = {sample.image: ("circle", "moon") for sample in samples.samples}
    data = _set(samples, negatives=share, absent=absent)
    batches = [data[number] for number in range(data.order.batches_per_epoch * 20)]
    empty = torch.cat([batch.target.sum((1, 2, 3)) == 0 for batch in batches])
    names = [name for batch in batches for name in batch.names]
    assert [("absent" in name) for name in names] == empty.tolist()
    assert abs(empty.float().mean().item() - share) < 0.1


def test_draws_stay_within_what_a_cache_holds(samples):
    asked = []

    class Spy:
        def features(self, image, items):
            asked.extend(item.draw for item in items)
            return reader(samples).source.features(image, items)

    source = reader(samples)
    data = TrainingSet(samples.samples, type(source)(Spy(), source.geometry), batch=3, seed=1, draws=2)
    for number in range(12):
        data[number]
    assert set(asked) == {0, 1}


def test_a_question_names_image_and_phrase(samples):
    sample = samples.samples[0]
    assert question(sample).name == "0.png ('square')"
    assert question(sample, "moon").name == "0.png ('moon', absent)"


def test_in_a_view_pixels_and_mask_still_belong_together(samples):
    """The squares are bright, so what RGBNet sees tells where the mask has to be."""
    seen = Reader(RandomFeatures(), GEOMETRY, rgb=True)
    views = ViewPolicy(0.5, flip=True, seed=2)
    data = TrainingSet(samples.samples, seen, batch=4, seed=1, views=views)
    batches = [data[number] for number in range(2 * data.order.batches_per_epoch)]
    assert {batch.target.shape[2:] for batch in batches} == {(64, 64)}
    for batch in batches:
        bright = batch.inputs.mean(1, keepdim=True) > 0
        assert (bright == (batch.target > 0.5)).float().mean() > 0.93
        assert (batch.target.mean((1, 2, 3)) > 0.05).all()
    again = TrainingSet(samples.samples, seen, batch=4, seed=1, views=views)[3]
    assert torch.equal(again.inputs, batches[3].inputs)
    whole = TrainingSet(samples.samples, seen, batch=4, seed=1)[3]
    assert whole.inputs.shape != again.inputs.shape or not torch.equal(whole.inputs, again.inputs)


def test_crowds_do_not_count_in_the_loss(samples):
    whole = next(sample for sample in samples.samples if sample.width == sample.height == 64)
    left = Polygons(((0.0, 0.0, 32.0, 0.0, 32.0, 64.0, 0.0, 64.0),))
    crowded = replace(whole, ignored=(left,))
    source = reader(samples)
    assert source.batch([question(whole)], [0]).counted is None
    batch = source.batch([question(crowded), question(whole), question(crowded, "moon")], [0, 0, 0])
    assert batch.counted is not None
    assert batch.counted.mean((1, 2, 3)).tolist() == pytest.approx([0.5, 1, 1], abs=0.02)
    assert not batch.counted[0, 0, 1:-1, 1:31].any()
    assert batch.counted[0, 0, :, 33:].all()
