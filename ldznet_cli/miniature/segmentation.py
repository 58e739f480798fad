"""The bundled segmentation nets: trained on masks of `photo` scenes alone, from cached features of the miniature LDM.

Every step is the one that a user takes: annotated scenes → cache → run folder → masks → scores. `cartoon` and
`sketch` play the part of the paper's AI-generated images: no mask of theirs is seen in training.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch

from ldznet_cli.config import MINIATURE
from ldznet_cli.errors import ModelError, UsageError
from ldznet_cli.features import CachedFeatures, FeatureSettings, Store, cache_features, plan_cache
from ldznet_cli.inference import load_predictor
from ldznet_cli.ldm import PAPER_BLOCKS, DrawPolicy, FrozenLDM
from ldznet_cli.ldm.digests import LdmDigests, digests_of
from ldznet_cli.miniature.events import BuildEvent, Events
from ldznet_cli.miniature.net_recipe import NetRecipe
from ldznet_cli.miniature.net_scores import Entry, record_net, recorded_nets, scores_on
from ldznet_cli.miniature.recipe import Recipe
from ldznet_cli.miniature.scenes import STYLES, write_dataset
from ldznet_cli.nets import digest_of, for_ldm, load_net, read_info, save_net
from ldznet_cli.samples.coco import SampleSet, load_coco
from ldznet_cli.samples.geometry import Geometry
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.negatives import absent_phrases
from ldznet_cli.training.folder import read_record
from ldznet_cli.training.loop import TrainEvent
from ldznet_cli.training.run import Material, Plan, plan, run

STYLE = "photo"
"""The only style whose masks are seen in training."""

_RECORDED = ("step", "seconds", "threads", "samples", "validations", "versions")
"""What the model card takes from a net's `training.json`."""

_BATCH = 8
_EVERY = 20
"""Steps from one event of a training to the next."""


class NetBuild:
    """The nets of `recipe` on the LDM folder `ldm`, made in `work` and put into `out`; resumable at every point.

    `stop` is asked after each training step: when it says so, a checkpoint is written and Interrupted raised.
    """

    def __init__(
        self,
        work: Path,
        out: Path,
        ldm: Path,
        recipe: Recipe,
        *,
        workers: int = 1,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.work, self.out, self.ldm, self.recipe = work, out, ldm, recipe
        self.workers, self.stop = workers, stop

    @cached_property
    def digests(self) -> LdmDigests:
        """Of the LDM that the nets are trained on."""
        return digests_of(self.ldm)

    def run(self) -> Events:
        """All of it, each net published and scored before the next one is trained; nothing when it is all there."""
        if all(self._is_scored(net) for net in self.recipe.nets.nets):
            return
        yield from self.scenes()
        yield from self.cache()
        for net in self.recipe.nets.nets:
            yield from self.train(net)
            yield from self.score(net)

    def scenes(self) -> Events:
        """Renders training, validation and held-out scenes."""
        nets = self.recipe.nets
        jobs = [("train", STYLE, nets.scenes, nets.training_seed, nets.absent)]
        jobs += [("validation", STYLE, nets.validation_scenes, nets.validation_seed, nets.absent)]
        for style in STYLES:
            jobs += [(style, style, nets.held_out_scenes, nets.held_out_seed, 0)]
            jobs += [(_asked(style), style, nets.held_out_scenes, nets.held_out_seed, nets.absent)]
        for name, style, count, seed, absent in jobs:
            yield from draw_set(self.work / name, style, count, seed, absent=absent, workers=self.workers)

    def samples(self, name: str) -> SampleSet:
        """The annotations of one rendered set."""
        return load_coco(self.work / name / "annotations.json")

    def cache(self) -> Events:
        """Features of the training and validation scenes."""
        sets = [self.samples(name) for name in ("train", "validation")]
        yield from fill_cache(self.work / "cache", self.ldm, sets, self.recipe.nets.draws)

    def train(self, net: NetRecipe) -> Events:
        """The run folder `work/<kind>`, then its averaged weights in float16, as the package carries them."""
        ldm = FrozenLDM.load(self.ldm, blocks=())
        begun = self._plan(net, ldm)
        events = run(begun, unet_weights=ldm.unet_state_dict, stop=self.stop)
        yield from told(events, f"train {net.kind}", net.training.steps)
        self._publish(net)

    def _plan(self, net: NetRecipe, ldm: FrozenLDM) -> Plan:
        folder = self.work / net.kind
        config = for_ldm(ldm.unet_config, net.kind, head_width=self.recipe.nets.head_width)
        try:
            return plan(folder, net.training, config, "ldm", self._material(config.blocks))
        except UsageError as error:
            advice = "remove it to train this net anew"
            raise ModelError(f"{folder} is of another recipe or of another LDM: {advice}") from error

    def _material(self, blocks: tuple[int, ...]) -> Material:
        cached = CachedFeatures.open(self.work / "cache", ldm_digests=self.digests, blocks=blocks)
        return cached_material(
            self.samples("train"), self.samples("validation"), cached, (MINIATURE, self.digests)
        )

    def _publish(self, net: NetRecipe) -> None:
        folder = self.work / net.kind
        info = read_info(folder)
        info = dataclasses.replace(info, training={**info.training, "run": STYLE})
        save_net(self.out / net.kind, load_net(folder), info, dtype=torch.float16)

    def score(self, net: NetRecipe) -> Events:
        """Scores of the published net on held-out scenes of each style, written into `nets.json`."""
        predictor = load_predictor(self.out / net.kind, self.ldm, batch=_BATCH)
        held_out = {}
        for style in STYLES:
            place = self.work / "masks" / net.kind / style
            asked, present = self.samples(_asked(style)), self.samples(style)
            events = scores_on(asked, present, predictor, place, f"score {net.kind} on {style}")
            held_out[style] = yield from events
        record_net(self.out, self._entry(net, held_out))
        yield BuildEvent(f"score {net.kind}", 1, 1, json.dumps(held_out))

    def _entry(self, net: NetRecipe, held_out: Entry) -> Entry:
        """All that the model card says of a net."""
        record, info = read_record(self.work / net.kind), read_info(self.out / net.kind)
        assert record is not None
        return {
            "kind": net.kind,
            "recipe": self._numbers(net),
            "digest": digest_of(self.out / net.kind),
            "ldm": self.digests.to_dict(),
            "threshold": info.threshold,
            "styles": [STYLE],
            **{key: record[key] for key in _RECORDED},
            "held_out": held_out,
        }

    def _numbers(self, net: NetRecipe) -> Entry:
        """The recipe's numbers that decide this net and its scores, as JSON gives them back."""
        nets = dataclasses.asdict(self.recipe.nets) | {"nets": dataclasses.asdict(net)}
        numbers: Entry = json.loads(json.dumps(nets))
        return numbers

    def _is_scored(self, net: NetRecipe) -> bool:
        """Whether what is recorded is of the net that lies there, of this recipe and of this LDM."""
        for entry in recorded_nets(self.out):
            if (entry["kind"], entry["recipe"]) == (net.kind, self._numbers(net)):
                folder = self.out / net.kind
                same = folder.exists() and entry["digest"] == digest_of(folder)
                return bool(same and entry["ldm"] == self.digests.to_dict())
        return False


def draw_set(folder: Path, style: str, count: int, seed: int, *, absent: int = 0, workers: int = 1) -> Events:
    """A set of annotated scenes in `folder`, unless it is there; its annotation file is written last."""
    if not (folder / "annotations.json").exists():
        written = write_dataset(folder, style, count, seed, absent=absent, workers=workers)
        for done, _ in enumerate(written, 1):
            yield BuildEvent(f"scenes with masks, {folder.name}", done, count)


def fill_cache(
    cache: Path,
    ldm_folder: Path,
    sets: Iterable[SampleSet],
    draws: int,
    *,
    geometry: Geometry | None = None,
    absent: Mapping[ImageRef, Sequence[str]] | None = None,
) -> Events:
    """Features of all phrases of `sets`, as `ldznet cache-features` makes them; what is there is not made again.

    With a `geometry` of one's own, z and text alone; `absent` are further phrases of an image.
    """
    ldm = FrozenLDM.load(ldm_folder, blocks=() if geometry else PAPER_BLOCKS)
    grid = geometry or Geometry("aligned", ldm.default_size)
    settings = FeatureSettings.of(ldm, grid, DrawPolicy(), storage="float16", z_only=geometry is not None)
    wanted = [
        (image, [*(sample.phrase for sample in samples), *(absent or {}).get(image, ())])
        for found in sets
        for image, samples in found.by_image().items()
    ]
    store = Store(cache)
    todo = plan_cache(wanted, settings, ldm, store, draws=draws)
    total = len(todo.prompts) + len(todo.todo) + 1
    for done, _ in enumerate(cache_features(todo, ldm, store), 1):
        yield BuildEvent("features", done, total)


def _asked(style: str) -> str:
    """The held-out scenes of a style once more, with phrases that name nothing in them."""
    return f"{style}-absent"


def cached_material(
    training: SampleSet,
    validation: SampleSet,
    cached: CachedFeatures,
    ldm: tuple[str, LdmDigests],
    absent: int = 0,
) -> Material:
    """What a net learns from out of a cache; `absent` phrases are drawn for an image that has none of its own.

    `ldm` is the net's, by name: a cache of z and text alone may have been made with another one of the same.
    """
    settings = cached.settings
    return Material(
        samples=training,
        validation=validation,
        source=cached,
        geometry=settings.geometry,
        ldm_name=ldm[0],
        ldm_digests=ldm[1].to_dict(),
        timesteps=settings.policy.timesteps,
        features={"features": "cached", "storage": settings.storage},
        draws=cached.draws,
        absent=absent_phrases(training, absent),
    )


def told(events: Iterable[TrainEvent], stage: str, steps: int) -> Events:
    """How a training goes: a step now and then, and each validation with what it found."""
    for event in events:
        if event.kind == "validation" or event.step % _EVERY == 0:
            note = json.dumps(event.validation.to_dict()) if event.validation is not None else ""
            yield BuildEvent(stage, event.step, steps, note)
