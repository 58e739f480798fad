"""The seam: what turns an image and phrases into probability maps, whatever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from ldznet_cli.samples.geometry import Geometry, to_pixels
from ldznet_cli.samples.record import RecordGeometry


@dataclass(frozen=True)
class PredictorIdentity:
    """By whom an answer was given, as records name it.

    name:     "net", "clipseg", …
    model:    the model's name, `model_digest` the SHA-256 of its configuration and weights
    ldm, seed, draws: None where there is no LDM, or no noise
    template: the prompt around a phrase, "{}" where it is put bare
    tuned_on: SHA-256 of the ground truth that its own threshold was tuned on
    settings: whatever else its answers depend on, as JSON values
    """

    name: str
    model: str
    model_digest: str
    ldm: str | None = None
    ldm_digest: str | None = None
    seed: int | None = None
    draws: int | None = None
    template: str = "{}"
    tuned_on: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self) | {"settings": dict(self.settings)}


@dataclass(frozen=True, eq=False)
class ProbMap:
    """The probability of a phrase at each position of the predictor's own grid: float32 (h, w) in [0, 1]."""

    prob: NDArray[np.float32]
    geometry: RecordGeometry


@runtime_checkable
class Predictor(Protocol):
    """What answers. `threshold` is the probability above which it says that a pixel belongs to the phrase."""

    @property
    def identity(self) -> PredictorIdentity:
        """Everything but image and phrase that its answers depend on."""
        ...

    @property
    def threshold(self) -> float:
        """In [0, 1]; records say which one was used."""
        ...

    def check(self, phrases: Sequence[str]) -> None:
        """Raises PromptError for the first phrase that cannot be put; nothing is computed."""
        ...

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        """One map for each phrase, in order. `image` is RGB and upright, `sha256` the name of its file's bytes.

        The same image and phrase give the same map, whatever the other phrases are (up to rounding).
        """
        ...


@dataclass(frozen=True)
class ColourPredictor:
    """The fake: how near each pixel is to the colour that the phrase names ("red", "red lamp"); without one, 0."""

    geometry: Geometry = field(default_factory=lambda: Geometry("aligned", 64))
    threshold: float = 0.5

    @property
    def identity(self) -> PredictorIdentity:
        return PredictorIdentity("colour", "colour", "0" * 64, settings=asdict(self.geometry))

    def check(self, phrases: Sequence[str]) -> None:
        """Whatever is asked can be put."""

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:  # noqa: ARG002
        pixels = to_pixels(image, self.geometry)
        shape = RecordGeometry(self.geometry.kind, self.geometry.size, (pixels.shape[1], pixels.shape[2]))
        return [ProbMap(_likeness(pixels, phrase), shape) for phrase in phrases]


def _likeness(pixels: NDArray[np.float32], phrase: str) -> NDArray[np.float32]:
    for word in phrase.split():
        if word.lower() in ImageColor.colormap:
            colour = np.array(ImageColor.getrgb(word.lower())[:3], dtype=np.float32) / 127.5 - 1
            distance = np.abs(pixels - colour[:, None, None]).mean(axis=0) / 2
            likeness: NDArray[np.float32] = np.clip(1 - 2 * distance, 0, 1).astype(np.float32)
            return likeness
    return np.zeros(pixels.shape[1:], dtype=np.float32)
