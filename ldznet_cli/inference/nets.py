"""Our own nets as a predictor: z once for an image, the LDM's features and the net's logits for each of its phrases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ldznet_cli.errors import ModelError, UsageError
from ldznet_cli.features import FeatureItem, compute
from ldznet_cli.features.unit import Request, unit_of
from ldznet_cli.inference.predictor import PredictorIdentity, ProbMap
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.ldm.packing import place
from ldznet_cli.nets import NetInfo, digest_of, load_net, read_info
from ldznet_cli.samples.geometry import Geometry, to_tensor
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.record import RecordGeometry
from ldznet_cli.samples.templates import ENSEMBLE, INFERENCE_TEMPLATE, TEMPLATES, prompt_of

_PROMPTS = 256
"""Text states that are kept in memory: 61 MB of Stable Diffusion's."""

_PARTS = {
    "rgbnet": {"text"},
    "znet": {"first_stage", "text"},
    "ldznet": {"first_stage", "text", "unet", "schedule"},
}
"""What of the LDM a net's answers depend on; only these have to be the ones it was trained with."""

Rows = list[tuple[Request, dict[int, Tensor]]]


class NetPredictor:
    """An RGBNet, ZNet or LD-ZNet with the LDM that it belongs to.

    Phrases go through LDM and net in batches of exactly `batch` rows, the last one filled up, so that no answer depends
    on how many phrases there are. LD-ZNet's answer is the sigmoid of the mean of the logits over `draws` draws of
    noise and timestep, which follow from `seed`, the image's content and the phrase; the other nets draw nothing.
    With the template "ensemble" the mean is over the paper's nine as well, each with the same draws.
    """

    def __init__(
        self,
        folder: Path,
        ldm: FrozenLDM,
        *,
        name: str | None = None,
        ldm_name: str | None = None,
        draws: int = 1,
        template: str = INFERENCE_TEMPLATE,
        seed: int = 0,
        batch: int = 1,
        other_first_stage: bool = False,
    ) -> None:
        """Computes where and in what `ldm` does; `name` and `ldm_name` are what records call the two.

        `other_first_stage`: the LDM's is meant to be another than the net was trained with (TAESD: faster, rougher).

        Raises ModelError for a folder that is no net's, or whose net belongs to another LDM; UsageError for
        draws of a net that draws nothing; PromptError for a template that does not hold `{}` once.
        """
        self.templates = TEMPLATES if template == ENSEMBLE else (template,)
        for one in self.templates:
            prompt_of("phrase", one)
        self.info = read_info(folder)
        _check_ldm(self.info, ldm, draws, other_first_stage)
        self.ldm, self.draws, self.batch = ldm, draws, batch
        self.net = load_net(folder).requires_grad_(False)
        place(self.net, ldm.device, ldm.dtype)
        self.geometry = _geometry(self.info, folder)
        self.policies = [DrawPolicy(seed, self.info.timesteps, one) for one in self.templates]
        self.threshold = self.info.threshold
        self._text = lru_cache(_PROMPTS)(lambda prompt: compute.encode_text(ldm, prompt))
        noisy = bool(self.net.config.blocks)
        self.identity = PredictorIdentity(
            name="net",
            model=name or folder.resolve().name,
            model_digest=digest_of(folder),
            ldm=ldm_name or ldm.name,
            ldm_digest=ldm.digests.combined,
            seed=seed if noisy else None,
            draws=draws if noisy else None,
            template=template,
            tuned_on=self.info.tuned_on,
            settings={
                "kind": self.net.config.kind,
                "geometry": self.info.geometry,
                "timesteps": list(self.info.timesteps),
                "dtype": str(ldm.dtype).removeprefix("torch."),
            },
        )

    def check(self, phrases: Sequence[str]) -> None:
        """Raises PromptError for the first phrase that is empty, or too long for the text encoder in its template."""
        if self.ldm.text_encoder is None:
            raise ModelError(f"the LDM {self.ldm.name} has no text encoder: phrases cannot be put")
        self.ldm.text_encoder.tokens([prompt_of(phrase, one) for phrase in phrases for one in self.templates])

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        """A map for each phrase on the net's own grid, (H, W) of `geometry.network_size`."""
        items = [FeatureItem(phrase, draw) for phrase in phrases for draw in range(self.draws)]
        units = [unit_of(ImageRef(Path(), ""), sha256, items, policy) for policy in self.policies]
        requests = [request for unit in units for request in unit.requests]
        sums: dict[str, Tensor] = {}
        with torch.inference_mode():
            pixels = to_tensor(image, self.geometry)
            for request, logits in self._logits(pixels, requests):
                phrase = request.item.phrase
                sums[phrase] = sums[phrase] + logits if phrase in sums else logits
        return [self._map(sums[FeatureItem(phrase).clean().phrase]) for phrase in phrases]

    def _logits(self, pixels: Tensor, requests: Sequence[Request]) -> Iterator[tuple[Request, Tensor]]:
        """Each request with its logits (H, W), in float32 on the CPU."""
        kind = self.net.config.kind
        z = None if kind == "rgbnet" else compute.encode_z(self.ldm, pixels)
        given = pixels[0].to(self.ldm.device, self.ldm.dtype) if z is None else z
        for rows in self._rows(z, requests):
            yield from zip((request for request, _ in rows), self._run(given, rows), strict=True)

    def _rows(self, z: Tensor | None, requests: Sequence[Request]) -> Iterable[Rows]:
        """The requests in batches (the last one may be shorter), with the LDM's features where the net takes any."""
        if self.net.config.blocks and z is not None:
            return compute.feature_batches(self.ldm, z, self._text, requests, self.batch)
        parts = (requests[start : start + self.batch] for start in range(0, len(requests), self.batch))
        return ([(request, {}) for request in part] for part in parts)

    def _run(self, given: Tensor, rows: Rows) -> Iterator[Tensor]:
        """The net on one batch, filled up to its fixed shape; `given` is z (4, h, w) or the image (3, H, W)."""
        filled = rows + rows[:1] * (self.batch - len(rows))
        text = torch.stack([self._text(request.prompt) for request, _ in filled])
        blocks = {
            index: torch.stack([found[index] for _, found in filled]) for index in self.net.config.blocks
        }
        logits = self.net(given.expand(len(filled), *given.shape), text, blocks)[: len(rows), 0]
        yield from logits.float().cpu()

    def _map(self, total: Tensor) -> ProbMap:
        prob: np.ndarray = torch.sigmoid(total / (self.draws * len(self.templates))).numpy()
        if not np.isfinite(prob).all():
            raise ModelError(
                f"the net gives values that are not finite in {self.identity.settings['dtype']}: try --dtype float32"
            )
        height, width = prob.shape
        return ProbMap(prob, RecordGeometry(self.geometry.kind, self.geometry.size, (height, width)))


def _geometry(info: NetInfo, folder: Path) -> Geometry:
    try:
        return Geometry(**info.geometry)
    except TypeError as error:
        raise ModelError(f"{folder}: its geometry is {info.geometry}, expected kind and size") from error


def fits(info: NetInfo, digests: Mapping[str, str | None]) -> bool:
    """Whether an LDM with these digests is, in all that the net uses of it, the one that the net was trained with."""
    return _counted(info, digests) == info.ldm_digests


def _counted(info: NetInfo, digests: Mapping[str, str | None]) -> dict[str, str | None]:
    """The digests, as if the parts that this net does not use were the expected ones."""
    used = _PARTS[info.config.kind]
    return {
        part: digests.get(part) if part in used else expected for part, expected in info.ldm_digests.items()
    }


def _check_ldm(info: NetInfo, ldm: FrozenLDM, draws: int, other_first_stage: bool) -> None:
    """The parts that the net uses are those that it was trained with, and there is something to draw."""
    digests = ldm.digests.to_dict()
    if other_first_stage:
        digests["first_stage"] = info.ldm_digests.get("first_stage")
    info.check_ldm(_counted(info, digests))
    if ldm.blocks != info.config.blocks and info.config.blocks:
        raise ModelError(
            f"the net takes the LDM's blocks {list(info.config.blocks)}, it was loaded with {list(ldm.blocks)}"
        )
    if draws > 1 and not info.config.blocks:
        raise UsageError(
            f"a {info.config.kind} draws no noise, so there is nothing to average: leave --draws out"
        )
