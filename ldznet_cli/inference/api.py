"""The Python interface: a `Segmenter`, images and phrases in, masks out.

from ldznet_cli import Segmenter

segmenter = Segmenter()                      # the bundled miniature; Segmenter("runs/ldznet") is your own net
for mask in segmenter.segment("scene.png", ["red lamp", "grass"]):
    print(mask.phrase, mask.score, mask.box)
    Image.fromarray(mask.mask).save(f"{mask.phrase}.png")
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import WeightsUnavailable
from ldznet_cli.inference.decision import decide
from ldznet_cli.inference.nets import NetPredictor, fits
from ldznet_cli.inference.predictor import Predictor
from ldznet_cli.ldm import FrozenLDM, digests_of
from ldznet_cli.nets import read_info
from ldznet_cli.samples.images import read_image, sha256_of, to_rgb
from ldznet_cli.samples.masks import area, box
from ldznet_cli.samples.templates import INFERENCE_TEMPLATE

BUNDLE = Path(__file__).parent.parent / "miniature" / "weights"
"""Where the bundled weights lie in the package: data, not code, which is all that this room may know of it."""

NET, LDM = "ldznet", "ldm"
"""The folders in the bundle."""


@dataclass(frozen=True, eq=False)
class Mask:
    """One phrase's answer: `mask` bool (height, width) of the image, `prob` float32 (h, w) on the network's grid.

    `score` says whether the phrase is anywhere, in [0, 1]; `area` in pixels; `box` is x, y, width, height, None for an
    empty mask.
    """

    phrase: str
    mask: NDArray[np.bool_]
    prob: NDArray[np.float32]
    score: float
    area: int
    box: tuple[int, int, int, int] | None


class Segmenter:
    """A net, ready to be asked. `model` is a folder that `ldznet train` wrote (None: the bundled miniature), `ldm` the
    latent diffusion model that it belongs to (None: found by what the folder says), `predictor` anything else that
    answers, such as a `ClipSegPredictor`.

    Raises WeightsUnavailable, ModelError.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        ldm: str | Path | None = None,
        device: str = "cpu",
        *,
        predictor: Predictor | None = None,
    ) -> None:
        self.predictor = predictor or load_predictor(model, ldm, device=device)

    def segment(self, image: str | Path | Image.Image, prompts: Sequence[str]) -> list[Mask]:
        """A mask for each prompt, in order. The same image and prompt give the same mask.

        An open image is brought to RGB as a file is: upright, what is transparent over white. Raises ImageError for a
        file that cannot be read, or pixels without an agreed range (modes I and F), PromptError.
        """
        self.predictor.check(prompts)
        picture = to_rgb(image) if isinstance(image, Image.Image) else read_image(image)
        name = _pixels_name(picture) if isinstance(image, Image.Image) else sha256_of(image)
        maps = self.predictor.predict(picture, name, prompts)
        found = [decide(one.prob, *picture.size, self.predictor.threshold) for one in maps]
        return [
            Mask(prompt, one.mask, one.prob, one.score, area(one.mask), box(one.mask))
            for prompt, one in zip(prompts, found, strict=True)
        ]


def load_predictor(
    model: str | Path | None = None,
    ldm: str | Path | None = None,
    *,
    vae: str | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    offline: bool = False,
    draws: int = 1,
    template: str = INFERENCE_TEMPLATE,
    seed: int = 0,
    batch: int = 1,
) -> NetPredictor:
    """The net in the folder `model` with its LDM; the bundled ones for None or "miniature".

    Without `ldm` it is the bundled LDM where the net was trained with that, else what the net calls its LDM. `vae`: a
    first stage to be used instead of the LDM's, whatever the net was trained with.
    Raises WeightsUnavailable, ModelError (another LDM than the net's), UsageError.
    """
    bundled = model is None or model == MINIATURE or model == BUNDLE / NET
    folder = BUNDLE / NET if model is None or model == MINIATURE else Path(model)
    source = _ldm_of(folder, ldm)
    try:
        frozen = FrozenLDM.load(
            source,
            blocks=read_info(folder).config.blocks,
            device=device,
            dtype=dtype,
            vae=vae,
            offline=offline,
        )
    except WeightsUnavailable as error:
        if ldm is not None:
            raise
        raise WeightsUnavailable(
            f"{folder} was trained with the LDM {source} ({error}): name it by --ldm"
        ) from error
    return NetPredictor(
        folder,
        frozen,
        name=MINIATURE if bundled else None,
        ldm_name=MINIATURE if source == BUNDLE / LDM else None,
        draws=draws,
        template=template,
        seed=seed,
        batch=batch,
        other_first_stage=vae is not None,
    )


def _ldm_of(folder: Path, ldm: str | Path | None) -> str | Path:
    """Where the LDM of a net lies: as asked for, or by digest in the bundle, or by the name that the net has kept."""
    bundle = BUNDLE / LDM
    if not bundle.is_dir() and (folder == BUNDLE / NET or ldm == MINIATURE):
        raise WeightsUnavailable(f"the bundled weights are not in this installation: {bundle} is missing")
    if ldm is not None:
        return bundle if ldm == MINIATURE else ldm
    info = read_info(folder)
    if bundle.is_dir() and fits(info, digests_of(bundle).to_dict()):
        return bundle
    return bundle if info.ldm_name == MINIATURE else info.ldm_name


def _pixels_name(picture: Image.Image) -> str:
    """An image in memory has no file: its noise follows from its pixels."""
    return hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()
