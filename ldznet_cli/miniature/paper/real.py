"""Real pictures, where they are at hand: RGBNet, ZNet and the category's mean mask on photographs and on clip art.

The first stage is TAESD's, the U-Net starts at random, and the text encoder is random and frozen: each prompt is a code
without a meaning, so only prompts that were seen in training count.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from ldznet_cli.errors import NothingToDo
from ldznet_cli.features import CachedFeatures
from ldznet_cli.inference.category_mean import CategoryMeanPredictor
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.ldm.digests import digests_of
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.nets import Tested
from ldznet_cli.miniature.paper.scores import best_threshold, net_maps, predictor_maps, score
from ldznet_cli.miniature.paper.training import trained
from ldznet_cli.miniature.segmentation import cached_material, fill_cache, told
from ldznet_cli.miniature.untrained import untrained_ldm
from ldznet_cli.nets import for_ldm, load_net, read_info
from ldznet_cli.nets.config import Kind
from ldznet_cli.samples.coco import SampleSet, load_coco
from ldznet_cli.samples.geometry import Geometry
from ldznet_cli.samples.negatives import absent_phrases
from ldznet_cli.samples.sample import Sample
from ldznet_cli.training.run import plan, run
from ldznet_cli.training.validation import hold_out

KINDS: tuple[Kind, ...] = ("rgbnet", "znet")
_ABSENT = 2
"""Phrases for each image that it is cached with and that name nothing in it."""
_TEST_SHARE, _VALIDATION_SHARE = 0.4, 0.1


@dataclass(frozen=True)
class Split:
    """Three sets without an image in common; only phrases that training knows are left in the other two."""

    training: SampleSet
    validation: SampleSet
    test: SampleSet


def photographs(folder: Path) -> Split:
    """COCO's instances to train on, the things of other photographs' panoptic masks to test on."""
    return _split(_read(folder, "coco-instances"), _read(folder, "coco-panoptic"))


def clip_art(folder: Path) -> Split:
    """CoDraw's scenes, whose files know no split: one by a hash of their names."""
    every = _read(folder, "codraw-clipart")
    rest, test = hold_out(every.samples, _TEST_SHARE, seed=0)
    return _split(_of(every, rest, "rest"), _of(every, test, "test"))


SPLITS = {"photographs": photographs, "clip-art": clip_art}


def test_real(world: World, name: str, kind: Kind, rate: float) -> Tested:
    """A net trained on one of the splits: `all/…`, on the square that `clipseg` squashes the images to.

    `rate` is the learning rate that was chosen for this net on drawn scenes.
    """
    split, ldm_folder, cache = yield from _prepared(world, name)
    ldm = FrozenLDM.load(ldm_folder, blocks=())
    source = CachedFeatures.open(cache, ldm_digests=digests_of(ldm_folder), blocks=())
    net = for_ldm(ldm.unet_config, kind, None, world.protocol.scenes.head_width)
    material = cached_material(
        split.training, split.validation, source, ("untrained, TAESD", ldm.digests), _ABSENT
    )
    config = replace(world.protocol.training, learning_rate=rate, seed=world.protocol.seeds[0])
    folder = world.own / "real" / f"{name}-{kind}"
    events = run(plan(folder, config, net, "random", material), unet_weights=None, stop=world.stop)
    yield from told(events, f"{kind} on {name}", config.steps)
    made, info = load_net(folder), read_info(folder)
    maps = net_maps(made, source, split.test, source.settings.geometry, rgb=kind == "rgbnet")
    scores = score(split.test, maps, info.threshold, world.protocol.replicates, size=world.protocol.real_size)
    parameters = sum(parameter.numel() for parameter in made.parameters())
    return {"split": _counts(split), "parameters": parameters, **trained(folder)}, scores


def test_real_mean(world: World, name: str) -> Tested:
    """The floor: each prompt's mean mask over the same training images."""
    split = _found(world, name)
    predictor = CategoryMeanPredictor(split.training)
    threshold = best_threshold(split.validation, predictor)
    maps = predictor_maps(predictor, split.test)
    scores = score(split.test, maps, threshold, world.protocol.replicates, size=world.protocol.real_size)
    yield BuildEvent(f"category mean on {name}", 1, 1)
    return {"split": _counts(split), "threshold": threshold}, scores


def _prepared(world: World, name: str) -> Generator[BuildEvent, None, tuple[Split, Path, Path]]:
    """The split, an untrained LDM behind TAESD, and the cache of its z and text."""
    split, ldm = _found(world, name), world.own / "real" / "ldm"
    real = _folder(world)
    if not ldm.exists():
        vocabulary = real / "clip-bpe" / "bpe_simple_vocab_16e6.txt.gz"
        untrained_ldm(ldm, vae=real / "taesd", vocabulary=vocabulary, seed=world.protocol.seeds[0])
    absent = absent_phrases(split.training, _ABSENT)
    cache, geometry = world.own / "real" / f"cache-{name}", Geometry("aligned", world.protocol.real_size)
    sets = [split.training, split.validation, split.test]
    yield from fill_cache(cache, ldm, sets, draws=1, geometry=geometry, absent=absent)
    return split, ldm, cache


def _found(world: World, name: str) -> Split:
    return SPLITS[name](_folder(world))


def _folder(world: World) -> Path:
    if world.real is None:
        raise NothingToDo("real pictures: name the folder that holds them with --real")
    return world.real


def _read(folder: Path, name: str) -> SampleSet:
    return load_coco(folder / name / "annotations.json")


def _split(every: SampleSet, test: SampleSet) -> Split:
    training, validation = hold_out(every.samples, _VALIDATION_SHARE, seed=0)
    known = {sample.phrase for sample in training}
    return Split(
        _of(every, training, "training"),
        _of(every, [sample for sample in validation if sample.phrase in known], "validation"),
        _of(test, [sample for sample in test.samples if sample.phrase in known], "known"),
    )


def _of(samples: SampleSet, kept: list[Sample], part: str) -> SampleSet:
    return replace(samples, samples=tuple(kept), digest=f"{samples.digest}-{part}")


def _counts(split: Split) -> dict[str, dict[str, int]]:
    return {
        name: {"images": len(part.by_image()), "samples": len(part.samples)}
        for name, part in vars(split).items()
    }
