"""The noise-difference map by timestep, its phrase-blind floors, and what needs no training: baselines of any table."""

from __future__ import annotations

from ldznet_cli.analysis.noise_difference import NoiseDifferencePredictor
from ldznet_cli.inference import Predictor
from ldznet_cli.inference.category_mean import CategoryMeanPredictor
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.metrics.intervals import UNIT, ImageSums, Values, Wholes, in_units
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.grounding import ground
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.nets import Tested
from ldznet_cli.miniature.paper.scores import Scores, best_threshold, merged, predictor_maps, score
from ldznet_cli.miniature.pipeline import PairDenoiser, load_pipeline
from ldznet_cli.miniature.pretraining import TextAndUNet
from ldznet_cli.miniature.scenes import render, scene_seed
from ldznet_cli.miniature.scoring import GROUNDING_COLUMNS, encode


def test_grounding(world: World) -> Tested:
    """`photo/t=350/right`: mean pixel AP of the right phrase's map, of another's of the same image, of floors."""
    protocol, pipeline = world.protocol, load_pipeline(world.ldm("bundled"))
    networks = TextAndUNet(pipeline.text_encoder, pipeline.unet)
    denoiser = PairDenoiser.of(networks, pipeline.tokenizer, world.recipe.schedule)
    sums = {
        (style, timestep): ImageSums(len(GROUNDING_COLUMNS), replicates=protocol.replicates)
        for style in protocol.styles
        for timestep in protocol.timesteps
    }
    for index in range(protocol.grounding_scenes):
        for style in protocol.styles:
            scene = render(style, scene_seed(world.seed(), index))
            z = encode(pipeline, scene.image) * pipeline.vae.config.scaling_factor
            for row in ground(denoiser, scene, z, protocol.timesteps):
                found = in_units([float(str(row[name])) for name in GROUNDING_COLUMNS])
                sums[style, int(str(row["timestep"]))].update(f"{style}-{index}", found)
        yield BuildEvent("noise-difference maps", index + 1, protocol.grounding_scenes)
    parts = [(f"{style}/t={t}", _averages(found)) for (style, t), found in sums.items() if found.samples]
    return {"scenes": protocol.grounding_scenes}, merged(parts)


def _averages(sums: ImageSums) -> Scores:
    """Means over queries, images redrawn as everywhere in the study."""
    numbers = _means(sums.total[:, None])
    drawn = {} if sums.replicates is None else _means(sums.replicates)
    return Scores({name: float(mean[0]) for name, mean in numbers.items()}, drawn, {"queries": sums.samples})


def _means(sums: Wholes) -> dict[str, Values]:
    """Of sums (1 + Q, R), the first of which counts."""
    return dict(zip(GROUNDING_COLUMNS, sums[1:] / (UNIT * sums[0]), strict=True))


def test_predictor(world: World, predictor: Predictor, threshold: float, name: str) -> Tested:
    """A baseline on the test scenes of every style; `threshold` was chosen on validation scenes."""
    yield from world.test_scenes()
    parts = []
    for number, style in enumerate(world.protocol.styles, 1):
        samples = world.test(style)
        maps = predictor_maps(predictor, samples)
        parts.append((style, score(samples, maps, threshold, world.protocol.replicates)))
        yield BuildEvent(f"{name}, tested", number, len(world.protocol.styles))
    return {"predictor": predictor.identity.to_dict(), "threshold": threshold}, merged(parts)


def test_category_mean(world: World) -> Tested:
    """The mean training mask of each phrase."""
    yield from world.scenes()
    predictor = CategoryMeanPredictor(world.samples("train"))
    return (yield from _test_untrained(world, predictor, "category mean"))


def test_noise_difference(world: World) -> Tested:
    """The training-free map as a segmenter."""
    yield from world.scenes()
    predictor = NoiseDifferencePredictor(FrozenLDM.load(world.ldm("bundled"), blocks=None))
    return (yield from _test_untrained(world, predictor, "noise-difference map"))


def _test_untrained(world: World, predictor: Predictor, name: str) -> Tested:
    threshold = best_threshold(world.samples("validation"), predictor)
    return (yield from test_predictor(world, predictor, threshold, name))
