"""The training-free map (LD-ZNet, figure 1): where does the predicted noise change when the phrase is named?

||eps(z_t, t, prompt) - eps(z_t, t, "")|| at each latent position, the mean over several draws of t and noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ldznet_cli.errors import ModelError
from ldznet_cli.features import compute
from ldznet_cli.inference import PredictorIdentity, ProbMap
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.samples.geometry import Geometry, to_tensor
from ldznet_cli.samples.record import RecordGeometry
from ldznet_cli.samples.templates import INFERENCE_TEMPLATE, clean_phrase, prompt_of

DRAWS = 4
"""How many draws are averaged where nothing is said: one alone is mostly noise."""

Map = NDArray[np.float32]


class NoiseDifferencePredictor:
    """Masks from the frozen LDM alone.

    A map says where the phrase is rather than elsewhere in the image, not how surely it is there at all: it is
    stretched to [0, 1] over the image and cut at 0.5, as DiffEdit does (Couairon et al., ICLR 2023). So its presence
    scores are near 1 also for what is absent.
    """

    threshold = 0.5

    def __init__(
        self,
        ldm: FrozenLDM,
        geometry: Geometry | None = None,
        *,
        ldm_name: str | None = None,
        draws: int = DRAWS,
        template: str = INFERENCE_TEMPLATE,
        seed: int = 0,
    ) -> None:
        """`ldm` is loaded whole (`blocks=None`); `geometry` is the LDM's own size where it is None.

        Raises ModelError for an LDM whose UNet is cut; PromptError for a template that does not hold `{}` once.
        """
        if ldm.unet is None or not ldm.unet.whole:
            raise ModelError(
                f"{ldm.name}: the noise-difference map needs the whole UNet: load it with blocks=None"
            )
        prompt_of("phrase", template)
        self.ldm, self.draws = ldm, draws
        self.geometry = geometry or Geometry("aligned", ldm.default_size)
        self.policy = DrawPolicy(seed, template=template)
        self.identity = PredictorIdentity(
            name="noise-difference",
            model=ldm_name or ldm.name,
            model_digest=ldm.digests.combined,
            ldm=ldm_name or ldm.name,
            ldm_digest=ldm.digests.combined,
            seed=seed,
            draws=draws,
            template=template,
            settings={
                "geometry": asdict(self.geometry),
                "timesteps": list(self.policy.timesteps),
                "dtype": str(ldm.dtype).removeprefix("torch."),
            },
        )

    def check(self, phrases: Sequence[str]) -> None:
        """Raises PromptError for the first phrase that is empty or too long for the text encoder."""
        if self.ldm.text_encoder is None:
            raise ModelError(f"the LDM {self.ldm.name} has no text encoder: phrases cannot be put")
        self.ldm.text_encoder.tokens([prompt_of(phrase, self.policy.template or "{}") for phrase in phrases])

    @torch.inference_mode()
    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        """A map for each phrase on the latent grid, (h, w) = (H / 8, W / 8)."""
        z = compute.encode_z(self.ldm, to_tensor(image, self.geometry))
        shape = RecordGeometry(self.geometry.kind, self.geometry.size, (z.shape[1], z.shape[2]))
        nothing = compute.encode_text(self.ldm, "")
        return [ProbMap(self._map(z, nothing, sha256, clean_phrase(phrase)), shape) for phrase in phrases]

    def _map(self, z: Tensor, nothing: Tensor, sha256: str, phrase: str) -> Map:
        """The mean over the draws of the noise that the phrase makes a difference of, stretched to [0, 1]."""
        total = torch.zeros(z.shape[1:])
        for index in range(self.draws):
            draw = self.policy.draw(sha256, phrase, index)
            text = compute.encode_text(self.ldm, prompt_of(phrase, draw.template))
            noise = draw.noise(tuple(z.shape))[None].to(z.device)
            z_t = self.ldm.schedule.add_noise(z[None], noise, draw.timestep).expand(2, *z.shape)
            named, unnamed = self.ldm.predict_noise(z_t, torch.stack([text, nothing]), draw.timestep)
            total += (named - unnamed).float().norm(dim=0).cpu()
        return stretched(total.numpy())


def stretched(values: Map) -> Map:
    """Values of any range (h, w) to [0, 1]: the lowest to 0, the highest to 1; all 0 where there is no difference.

    Raises ModelError for values that are not finite.
    """
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        raise ModelError("the LDM predicts noise that is not finite: try --dtype float32")
    spread = high - low
    result: Map = ((values - low) / spread if spread > 0 else np.zeros_like(values)).astype(np.float32)
    return result
