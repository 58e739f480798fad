"""Does the LDM know where its words are? The noise-difference map (LD-ZNet, figure 1), scored on scenes with masks.

The map of a phrase is ||eps(z_t, t, phrase) - eps(z_t, t, "")|| at each latent position. It knows its phrase if it
finds the phrase's mask better than the map of another phrase of the same image does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ldznet_cli.metrics.average_precision import ScoreHistogram
from ldznet_cli.miniature.scenes import Phrase, Scene, phrases
from ldznet_cli.miniature.scenes.scene import generator
from ldznet_cli.samples.templates import prompt_of

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Denoiser(Protocol):
    """What predicts noise for prompts: a training's networks or a loaded LDM."""

    def predict(self, z: Tensor, noise: Tensor, timestep: int, prompts: Sequence[str]) -> Tensor:
        """Predicted noise (P, 4, h, w), one for each prompt, on z (1, 4, h, w) noised to `timestep`."""


@dataclass(frozen=True)
class Query:
    """An object phrase of a scene, and another phrase of it whose mask is elsewhere."""

    right: Phrase
    other: Phrase


def queries(scene: Scene) -> list[Query]:
    """One for each object phrase; the other is an object's phrase where the scene has a second object."""
    named = phrases(scene)
    found = []
    for right in (phrase for phrase in named if phrase.kind == "object"):
        elsewhere = [p for p in named if not (p.mask & right.mask).any()]
        objects = [p for p in elsewhere if p.kind == "object"]
        pool = objects or elsewhere
        if pool:
            draw = generator("other phrase", scene.style, scene.seed, right.text)
            found.append(Query(right, pool[int(draw.integers(len(pool)))]))
    return found


def average_precision(values: Map, mask: Mask) -> float:
    """Pixel AP of a map (h, w) of any range against a mask (H, W); the map is resized bilinearly."""
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], mask.shape, mode="bilinear"
    )
    scaled = resized[0, 0].numpy() - values.min()
    histogram = ScoreHistogram()
    histogram.update(np.clip(scaled / max(float(np.ptp(values)), 1e-12), 0, 1).astype(np.float32), mask)
    return histogram.average_precision() or 0.0


def noise_differences(
    denoiser: Denoiser, z: Tensor, texts: Sequence[str], timestep: int, noise: Tensor
) -> list[Map]:
    """The map (h, w) of each phrase, over one image's z (1, 4, h, w)."""
    predicted = denoiser.predict(z, noise, timestep, ["", *(prompt_of(text) for text in texts)])
    return [part.numpy() for part in (predicted[1:] - predicted[:1]).float().norm(dim=1)]


def centre_blob(size: int) -> Map:
    """A floor that knows nothing: high in the middle."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    return np.exp(-8 * (axis[:, None] ** 2 + axis[None, :] ** 2)).astype(np.float32)


def row_contrast(scene: Scene) -> Map:
    """A floor that knows the image but no phrase: each pixel's colour distance from the median of its row."""
    image = scene.image.astype(np.float32)
    distance: Map = np.linalg.norm(image - np.median(image, axis=1, keepdims=True), axis=2).astype(np.float32)
    return distance


def scene_noise(scene: Scene, timestep: int, shape: tuple[int, ...]) -> Tensor:
    """The noise for this scene and timestep, the same whatever model is scored."""
    draw = generator("grounding", scene.style, scene.seed, timestep)
    return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))


@torch.no_grad()
def ground(
    denoiser: Denoiser, scene: Scene, z: Tensor, timesteps: Sequence[int]
) -> Iterator[dict[str, object]]:
    """For each query and timestep: AP of the right phrase's map, of the other's, and of the phrase-blind floors."""
    asked = queries(scene)
    texts = sorted({phrase.text for query in asked for phrase in (query.right, query.other)})
    blind = {"centre": centre_blob(z.shape[-1]), "row": row_contrast(scene)}
    for timestep in timesteps if asked else ():
        noise = scene_noise(scene, timestep, tuple(z.shape))
        maps = dict(zip(texts, noise_differences(denoiser, z, texts, timestep, noise), strict=True))
        mean = np.mean(list(maps.values()), axis=0)
        for query in asked:
            shown = blind | {"mean": mean, "right": maps[query.right.text], "other": maps[query.other.text]}
            scores = {name: average_precision(shown[name], query.right.mask) for name in shown}
            yield scores | {
                "style": scene.style, "timestep": timestep, "phrase": query.right.text, "rival": query.other.kind,
                "share": float(query.right.mask.mean()),
            }  # fmt: skip
