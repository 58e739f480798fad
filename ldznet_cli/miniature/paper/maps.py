"""The noise-difference map by timestep, its phrase-blind floors, and what needs no training: baselines of any table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ldznet_cli.analysis.noise_difference import NoiseDifferencePredictor
from ldznet_cli.inference import Predictor
from ldznet_cli.inference.category_mean import CategoryMeanPredictor
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.metrics.intervals import weights
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.grounding import ground
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.nets import Tested
from ldznet_cli.miniature.paper.scores import Scores, best_threshold, merged, predictor_maps, score
from ldznet_cli.miniature.pipeline import PairDenoiser, load_pipeline
from ldznet_cli.miniature.pretraining import TextAndUNet
from ldznet_cli.miniature.scenes import render, scene_seed
from ldznet_cli.miniature.scoring import GROUNDING_COLUMNS, encode

Row = Mapping[str, Any]


def test_grounding(world: World) -> Tested:
    """`photo/t=350/right`: mean pixel AP of the right phrase's map, of another phrase's of the same image, of floors.

    `margin` is the first less the second.
    """
    protocol, pipeline = world.protocol, load_pipeline(world.ldm("bundled"))
    networks = TextAndUNet(pipeline.text_encoder, pipeline.unet)
    denoiser = PairDenoiser.of(networks, pipeline.tokenizer, world.recipe.schedule)
    rows: dict[tuple[str, int], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for index in range(protocol.grounding_scenes):
        for style in protocol.styles:
            scene = render(style, scene_seed(world.seed(), index))
            z = encode(pipeline, scene.image) * pipeline.vae.config.scaling_factor
            for row in ground(denoiser, scene, z, protocol.timesteps):
                rows[style, int(str(row["timestep"]))][f"{style}-{index}"].append(row)
        yield BuildEvent("noise-difference maps", index + 1, protocol.grounding_scenes)
    parts = [(f"{style}/t={t}", _averages(found, protocol.replicates)) for (style, t), found in rows.items()]
    return {"scenes": protocol.grounding_scenes}, merged(parts)


def _averages(by_image: Mapping[str, list[Row]], replicates: int) -> Scores:
    """Means over queries, images redrawn as everywhere in the study."""
    counts = np.array([len(rows) for rows in by_image.values()], dtype=np.float64)
    drawn = np.stack([weights(0, image)[:replicates] for image in by_image])  # (images, K)
    numbers, replicated = {}, {}
    for name in GROUNDING_COLUMNS:
        sums = np.array([sum(float(row[name]) for row in rows) for rows in by_image.values()])
        numbers[name] = float(sums.sum() / counts.sum())
        weighed = np.maximum(
            counts @ drawn, 1e-12
        )  # a replicate without any image, of very few, tells nothing
        replicated[name] = np.where(counts @ drawn > 0, (sums @ drawn) / weighed, numbers[name])
    return Scores(numbers, replicated, {"queries": int(counts.sum())})


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
    threshold = best_threshold(
        world.samples("validation"), predictor_maps(predictor, world.samples("validation"))
    )
    return (yield from test_predictor(world, predictor, threshold, "category mean"))


def test_noise_difference(world: World) -> Tested:
    """The training-free map as a segmenter."""
    yield from world.scenes()
    predictor = NoiseDifferencePredictor(FrozenLDM.load(world.ldm("bundled"), blocks=None))
    threshold = best_threshold(
        world.samples("validation"), predictor_maps(predictor, world.samples("validation"))
    )
    return (yield from test_predictor(world, predictor, threshold, "noise-difference map"))
