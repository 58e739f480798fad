"""Pictures of test scenes: where words are, by the noise-difference map, and several prompts as one label map."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ldznet_cli.analysis.noise_difference import NoiseDifferencePredictor
from ldznet_cli.inference import Predictor, load_predictor
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.nets import Tested
from ldznet_cli.miniature.paper.scores import Scores
from ldznet_cli.reporting.picture_grid import Panel, heat, labelled, legend, picture_grid
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.geometry import to_image_size
from ldznet_cli.samples.images import read_image, sha256_of
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.sample import Sample

SCENES = 2
"""Of each style: the first test scenes with two objects or more, not the best ones."""


def draw(world: World, folder: Path) -> Tested:
    """`noise-difference.png` and `label-maps.png` in the world's folder for figures, with the LD-ZNet in `folder`."""
    yield from world.test_scenes()
    ldm = world.ldm("bundled")
    maps = NoiseDifferencePredictor(FrozenLDM.load(ldm, blocks=None))
    net = load_predictor(folder, ldm)
    scenes = [scene for style in world.protocol.styles for scene in _scenes(world, style)]
    pictures = {
        "noise-difference.png": [_words(maps, *scene) for scene in scenes],
        "label-maps.png": [_labels(net, *scene) for scene in scenes],
    }
    for name, rows in pictures.items():
        world.figures.mkdir(parents=True, exist_ok=True)
        write_atomically(world.figures / name, picture_grid(rows))
    yield BuildEvent("pictures", 1, 1)
    return {"pictures": sorted(pictures), "scenes": [image.name for image, _ in scenes]}, Scores({}, {}, {})


def _scenes(world: World, style: str) -> Iterator[tuple[ImageRef, list[Sample]]]:
    """Scenes with what their things and stuff are called without attributes."""
    found = 0
    for image, samples in world.test(style).by_image().items():
        bare = [sample for sample in samples if sample.phrase == sample.category]
        if found < SCENES and sum(sample.kind == "thing" for sample in bare) > 1:
            found += 1
            yield image, bare


def _answers(predictor: Predictor, image: ImageRef, phrases: list[str]) -> list[np.ndarray]:
    found = predictor.predict(read_image(image.path), sha256_of(image.path), phrases)
    return [answer.prob for answer in found]


def _words(maps: Predictor, image: ImageRef, samples: list[Sample]) -> list[Panel]:
    """The scene, and the maps of two of its objects."""
    phrases = [sample.phrase for sample in samples if sample.kind == "thing"][:2]
    found = _answers(maps, image, phrases)
    shown = [Panel(heat(one), phrase) for one, phrase in zip(found, phrases, strict=True)]
    return [Panel(_pixels(image), "scene"), *shown]


def _labels(net: Predictor, image: ImageRef, samples: list[Sample]) -> list[Panel]:
    """The scene, the label map of everything that is named in it, the true one, and the colours."""
    phrases, (height, width) = [sample.phrase for sample in samples], _pixels(image).shape[:2]
    probs = np.stack([to_image_size(one, width, height) for one in _answers(net, image, phrases)])
    numbers = np.where(probs.max(axis=0) > net.threshold, probs.argmax(axis=0) + 1, 0)
    truth = np.zeros_like(numbers)
    for number, sample in enumerate(samples, 1):
        truth[sample.mask()] = number
    colours = legend(dict(enumerate(phrases, 1)))
    panels = (
        ("scene", _pixels(image)),
        ("LD-ZNet", labelled(numbers)),
        ("true", labelled(truth)),
        ("", colours),
    )
    return [Panel(picture, caption) for caption, picture in panels]


def _pixels(image: ImageRef) -> np.ndarray:
    with Image.open(image.path) as opened:
        return np.asarray(opened.convert("RGB"))
