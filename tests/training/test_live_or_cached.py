"""Nets cannot tell live features from cached ones: the same seed gives the same logits, in training and inference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ldznet_cli.features import (
    CachedFeatures,
    FeatureItem,
    FeatureSettings,
    FeatureSource,
    LiveFeatures,
    SampleFeatures,
    Store,
    cache_features,
    plan_cache,
)
from ldznet_cli.features.key import Storage
from ldznet_cli.features.storage import restored, stored
from ldznet_cli.inference.nets import NetPredictor
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.nets import load_net
from ldznet_cli.nets.segmenters import SegmentationNet
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.images import read_image, sha256_of
from ldznet_cli.samples.templates import INFERENCE_TEMPLATE
from ldznet_cli.training.dataset import Reader, question
from tests.tiny_net import tiny_net
from tests.training.world import GEOMETRY, squares

BATCH = 4
ITEMS = [FeatureItem(phrase, draw) for phrase in ("circle", "square") for draw in range(2)]


@dataclass(frozen=True)
class World:
    """An LD-ZNet, its LDM, a few images, and caches of them by storage dtype."""

    net: SegmentationNet
    folder: Path
    ldm: FrozenLDM
    samples: SampleSet
    caches: Path

    def live(self, batch: int = BATCH) -> LiveFeatures:
        return LiveFeatures(self.ldm, GEOMETRY, DrawPolicy(seed=5), batch=batch)

    def cached(self, storage: Storage, policy: DrawPolicy | None = None) -> CachedFeatures:
        """Made where it is not there yet."""
        policy = policy or DrawPolicy(seed=5)
        settings = FeatureSettings.of(self.ldm, GEOMETRY, policy, storage=storage)
        store = Store(self.caches / f"{storage}-{policy.template}")
        asked = [(sample.image, ["square", "circle"]) for sample in self.samples.samples]
        list(
            cache_features(
                plan_cache(asked, settings, self.ldm, store, draws=2), self.ldm, store, batch=BATCH
            )
        )
        return CachedFeatures.open(store.root, policy=policy)


@pytest.fixture(scope="module")
def world(tiny_ldm: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    net = tiny_net(folder / "net", tiny_ldm)
    samples = squares(folder / "set", count=3, absent=False)
    return World(load_net(net), net, FrozenLDM.load(tiny_ldm), samples, folder)


def logits(net: SegmentationNet, parts: list[SampleFeatures]) -> Tensor:
    blocks = {index: torch.stack([part.blocks[index] for part in parts]) for index in net.config.blocks}
    with torch.inference_mode():
        found: Tensor = net(
            torch.stack([part.z for part in parts]), torch.stack([part.text for part in parts]), blocks
        )
    return found


def test_of_one_unit_they_are_equal_to_the_last_bit(world: World) -> None:
    for sample in world.samples.samples:
        one, other = (
            logits(world.net, source.features(sample.image, ITEMS))
            for source in (world.live(), world.cached("float32"))
        )
        assert torch.equal(one, other)
        assert one.std() > 0.01


@pytest.mark.parametrize("storage", ["float16", "bfloat16", "int8"])
def test_what_storage_rounds_is_all_that_differs(world: World, storage: Storage) -> None:
    image = world.samples.samples[0].image
    live = world.live().features(image, ITEMS)
    rounded = [
        SampleFeatures(part.z, part.text, _rounded(part.blocks, storage), part.prompt, part.timestep)
        for part in live
    ]
    cached = logits(world.net, world.cached(storage).features(image, ITEMS))
    assert torch.equal(cached, logits(world.net, rounded))
    assert 0 < (cached - logits(world.net, live)).abs().max() < 0.1 * logits(world.net, live).std()


def _rounded(blocks: dict[int, Tensor], storage: Storage) -> dict[int, Tensor]:
    found = restored(stored({str(index): block for index, block in blocks.items()}, storage))
    return {int(name): value for name, value in found.items()}


def test_batches_of_a_training_agree_to_a_hundred_thousandth(world: World) -> None:
    """Live, a training asks for one phrase at a time, which is another unit than the cache's."""
    sources: list[FeatureSource] = [world.live(batch=1), world.cached("float32")]
    questions, draws = [question(sample) for sample in world.samples.samples[:2]], [1, 0]
    one, other = (Reader(source, GEOMETRY).batch(questions, draws) for source in sources)
    assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.text, other.text)
    with torch.inference_mode():
        found = [world.net(batch.inputs, batch.text, batch.features) for batch in (one, other)]
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)


def test_inference_sees_what_the_cache_holds(world: World) -> None:
    image = world.samples.samples[0].image
    predictor = NetPredictor(world.folder, world.ldm, batch=BATCH, draws=2, seed=5)
    maps = predictor.predict(read_image(image.path), sha256_of(image.path), ["circle", "square"])
    cached = world.cached("float32", DrawPolicy(5, (300, 500), INFERENCE_TEMPLATE)).features(image, ITEMS)
    found = logits(predictor.net, cached)[:, 0]
    for index, answer in enumerate(maps):
        mean = (found[2 * index] + found[2 * index + 1]) / 2
        assert torch.equal(torch.from_numpy(answer.prob), torch.sigmoid(mean))
