"""What each block of the frozen LDM knows at each timestep (LD-ZNet, figure 4): the pixel AP of a small probe on it.

A probe answers from one block's features at one timestep, conditioned on the phrase: a 1x1 convolution to one
logit, bilinearly enlarged. The paper trains a "simple decoder" for each pair; ours is logistic regression, whose one
minimum is found exactly, so that a pair of block and timestep has one number and no learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ldznet_cli.analysis.logistic import Logistic, fit
from ldznet_cli.analysis.pooled_precision import PooledPrecision
from ldznet_cli.errors import UsageError
from ldznet_cli.features import compute
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.samples.geometry import Geometry, to_image_size, to_tensor
from ldznet_cli.samples.images import identity_of, read_view
from ldznet_cli.samples.sample import Sample
from ldznet_cli.samples.templates import INFERENCE_TEMPLATE, prompt_of
from ldznet_cli.training.validation import choose

Map = NDArray[np.float32]

_BATCH = 16


@dataclass(frozen=True)
class ProbeRecipe:
    """How the probes are made.

    `side` is that of the common grid, in pixels, on which every block is scored; `ridge` weighs the squared norm of a
    probe's weights (on standardised features) against its mean cross-entropy; `seed` decides the noise, which is the
    same at all timesteps; `replicates` are those of the bootstrap over images. `blind` puts the empty prompt in place
    of the phrase: a floor, of probes that know the image alone.
    """

    timesteps: tuple[int, ...] = (50, 150, 250, 350, 450, 550, 650, 750, 850, 950)
    side: int = 128
    ridge: float = 1e-4
    seed: int = 0
    template: str = INFERENCE_TEMPLATE
    blind: bool = False
    replicates: int = 1000


@dataclass(frozen=True)
class ProbeScore:
    """One cell of the figure: `ap` in [0, 1] over all test pixels, and its 95 % interval over test images.

    `block` is the index, `name` the module's in diffusers' UNet. `chance` is the share of foreground pixels: the AP of
    a probe that knows nothing.
    """

    block: int
    name: str
    timestep: int
    ap: float
    low: float
    high: float
    chance: float


def object_samples(samples: Sequence[Sample], count: int, seed: int = 0) -> list[Sample]:
    """At most `count` of the samples whose phrase names objects that are there, drawn from the seed."""
    present = [sample for sample in samples if sample.kind == "thing" and not sample.absent]
    return choose(present, count, seed)


def probe_scores(
    ldm: FrozenLDM,
    training: Sequence[Sample],
    test: Sequence[Sample],
    recipe: ProbeRecipe | None = None,
) -> Iterator[ProbeScore]:
    """Every block that `ldm` was loaded with, at every timestep of the recipe: timestep after timestep.

    Each timestep is by itself: a recipe with the timesteps that are missing goes on where a run stopped. In memory are
    the features of all samples at one timestep. All images get one grid, the LDM's own square. Raises
    UsageError where there is nothing to train or to test on, or an image is on both sides.
    """
    recipe = recipe or ProbeRecipe()
    _check(training, test)
    probes = Probes(ldm, training, test, recipe)
    for timestep in recipe.timesteps:
        yield from probes.at(timestep)


def table(scores: Sequence[ProbeScore]) -> tuple[list[str], list[int], list[list[ProbeScore]]]:
    """(names of blocks, timesteps, cells[block][timestep]): the figure, from all of its cells in any order.

    Raises UsageError for a cell that is missing.
    """
    names = dict(sorted({score.block: score.name for score in scores}.items()))
    timesteps = sorted({score.timestep for score in scores})
    cells = {(score.block, score.timestep): score for score in scores}
    for place in ((block, timestep) for block in names for timestep in timesteps):
        if place not in cells:
            raise UsageError(f"the probe of block {place[0]} at timestep {place[1]} is missing")
    return list(names.values()), timesteps, [[cells[b, t] for t in timesteps] for b in names]


class Probes:
    """The LDM, and what all timesteps have in common: z and masks of the samples on both sides."""

    def __init__(
        self,
        ldm: FrozenLDM,
        training: Sequence[Sample],
        test: Sequence[Sample],
        recipe: ProbeRecipe,
    ) -> None:
        if ldm.unet is None or not ldm.blocks:
            raise UsageError(f"{ldm.name} was loaded without blocks: name those to be probed")
        self.ldm, self.recipe, self.names = ldm, recipe, ldm.unet.names
        self.training, self.test = (self._inputs(side) for side in (training, test))
        self.masks = [sample.mask() for sample in training]
        grid = (recipe.side, recipe.side)
        self.truth = [on_grid(sample.mask(), grid) >= 0.5 for sample in test]
        self.images = [sample.image.name for sample in test]

    def at(self, timestep: int) -> Iterator[ProbeScore]:
        """All blocks at one timestep."""
        seen, unseen = (self._features(side, timestep) for side in (self.training, self.test))
        for block, name in self.names.items():
            probe = self._probe(seen[block])
            height, width = unseen[block].shape[2:]
            maps = [probe.probabilities(_rows(one)).reshape(height, width) for one in unseen[block]]
            yield self._score(block, name, timestep, maps)

    def _inputs(self, samples: Sequence[Sample]) -> list[_Input]:
        geometry = Geometry("square", self.ldm.default_size)
        z: dict[str, Tensor] = {}
        found = []
        for sample in samples:
            sha256 = identity_of(sample.image)
            if sha256 not in z:
                z[sha256] = compute.encode_z(self.ldm, to_tensor(read_view(sample.image), geometry))
            prompt = "" if self.recipe.blind else prompt_of(sample.phrase, self.recipe.template)
            text = compute.encode_text(self.ldm, prompt)
            found.append(_Input(sha256, sample.phrase, z[sha256], text))
        return found

    def _features(self, inputs: Sequence[_Input], timestep: int) -> dict[int, Map]:
        """Block → features (n, C, h, w): one pass through the UNet for a batch gives all blocks."""
        policy = DrawPolicy(self.recipe.seed, (timestep, timestep + 1), self.recipe.template)
        parts: list[dict[int, Map]] = []
        for start in range(0, len(inputs), _BATCH):
            batch = inputs[start : start + _BATCH]
            z, text = torch.stack([one.z for one in batch]), torch.stack([one.text for one in batch])
            shape = tuple(z.shape[1:])
            noise = torch.stack([policy.draw(one.sha256, one.phrase, 0).noise(shape) for one in batch])
            found = self.ldm.features(z, text, timestep, noise)
            parts.append({block: value.float().cpu().numpy() for block, value in found.items()})
        return {block: np.concatenate([part[block] for part in parts]) for block in self.names}

    def _probe(self, features: Map) -> Logistic:
        """The probe on one block: each position's target is the share of it that the mask covers."""
        grid = features.shape[2:]
        targets = np.concatenate([on_grid(mask, grid).ravel() for mask in self.masks])
        return fit(np.concatenate([_rows(one) for one in features]), targets, self.recipe.ridge)

    def _score(self, block: int, name: str, timestep: int, maps: Sequence[Map]) -> ProbeScore:
        side = self.recipe.side
        pooled = PooledPrecision(self.recipe.seed, self.recipe.replicates)
        for prob, mask, image in zip(maps, self.truth, self.images, strict=True):
            pooled.update(image, to_image_size(prob, side, side), mask)
        low, high = pooled.interval()
        return ProbeScore(block, name, timestep, pooled.average_precision(), low, high, pooled.chance)


@dataclass(frozen=True, eq=False)
class _Input:
    """One sample as the UNet takes it: z (4, h, w), text (L, D), and what its noise is drawn from."""

    sha256: str
    phrase: str
    z: Tensor
    text: Tensor


def on_grid(mask: NDArray[np.bool_], grid: tuple[int, ...]) -> Map:
    """The share of each position of a grid (h, w) that the mask (H, W) covers."""
    height, width = grid
    small = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small)


def _rows(features: Map) -> Map:
    """(C, h, w) → (h w, C)."""
    return features.reshape(len(features), -1).T


def _check(training: Sequence[Sample], test: Sequence[Sample]) -> None:
    if not training or not test:
        raise UsageError(
            f"probes need samples on both sides: {len(training)} to train, {len(test)} to test on"
        )
    if both := {sample.image.name for sample in training} & {sample.image.name for sample in test}:
        raise UsageError(f"{min(both)} is among the training and the test images of the probes")
