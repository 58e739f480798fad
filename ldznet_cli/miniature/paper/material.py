"""What the runs are made of, made once and kept in the work folder: scenes, LDM folders, caches of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ldznet_cli.features import CachedFeatures
from ldznet_cli.ldm.digests import LdmDigests, digests_of
from ldznet_cli.miniature.bundle import ldm_folder
from ldznet_cli.miniature.events import Events
from ldznet_cli.miniature.paper.ldms import make_ldm
from ldznet_cli.miniature.paper.protocol import Ldm, Protocol
from ldznet_cli.miniature.recipe import Recipe
from ldznet_cli.miniature.segmentation import STYLE, draw_set, fill_cache
from ldznet_cli.samples.coco import SampleSet, load_coco


@dataclass(frozen=True)
class World:
    """The study's work folder. What a method of Events makes is skipped when it is there.

    `work` may be the folder of `ldznet miniature build`, whose scenes and cache are then used as they are.
    """

    work: Path
    protocol: Protocol
    recipe: Recipe
    seed: Callable[[], int]
    """Of the test scenes; asked only when they are needed, since it is drawn then."""
    figures: Path
    """Where pictures of test scenes go."""
    workers: int = 1
    real: Path | None = None
    """The folder with real pictures, where there is one."""
    stop: Callable[[], bool] = field(default=lambda: False)
    _checked: set[tuple[str, Ldm]] = field(default_factory=set, compare=False)
    """Caches that were found whole, or made so, by this process: to look at forty thousand objects takes a minute."""

    @cached_property
    def own(self) -> Path:
        """What only the study makes."""
        return self.work / "paper"

    @cached_property
    def tests(self) -> Path:
        """The test scenes, in a folder of their seed."""
        return self.own / f"test-{self.seed()}"

    def ldm(self, name: Ldm) -> Path:
        """The folder of an LDM, which `make_ldm` has made unless it is the bundled one."""
        return ldm_folder() if name == "bundled" else self.own / "ldms" / name

    def digests(self, name: Ldm) -> LdmDigests:
        """Of all its parts."""
        return digests_of(self.ldm(name))

    def scenes(self) -> Events:
        """Training and validation scenes: the bundled nets' own."""
        nets, folder = self.protocol.scenes, self.work / "nets"
        sets = [("train", nets.scenes, nets.training_seed)]
        sets += [("validation", nets.validation_scenes, nets.validation_seed)]
        for name, count, seed in sets:
            yield from draw_set(folder / name, STYLE, count, seed, absent=nets.absent, workers=self.workers)

    def test_scenes(self) -> Events:
        """The test scenes of all styles."""
        count = self.protocol.test_scenes
        for style in self.protocol.styles:
            yield from draw_set(self.tests / style, style, count, self.seed(), workers=self.workers)

    def samples(self, name: str) -> SampleSet:
        """ "train" or "validation"."""
        return load_coco(self.work / "nets" / name / "annotations.json")

    def test(self, style: str) -> SampleSet:
        """The test scenes of a style."""
        return load_coco(self.tests / style / "annotations.json")

    def features(self, ldm: Ldm) -> Events:
        """The LDM itself, and features of training and validation scenes."""
        if ("training", ldm) in self._checked:
            return
        yield from self.scenes()
        yield from make_ldm(self.ldm(ldm), ldm, self.work, self.protocol, self.recipe)
        sets = [self.samples("train"), self.samples("validation")]
        yield from fill_cache(self.work / "nets" / "cache", self.ldm(ldm), sets, self.protocol.scenes.draws)
        self._checked.add(("training", ldm))

    def test_features(self, ldm: Ldm) -> Events:
        """Features of the test scenes, one draw."""
        if ("test", ldm) in self._checked:
            return
        yield from self.test_scenes()
        yield from make_ldm(self.ldm(ldm), ldm, self.work, self.protocol, self.recipe)
        sets = [self.test(style) for style in self.protocol.styles]
        yield from fill_cache(self.tests / "cache", self.ldm(ldm), sets, draws=1)
        self._checked.add(("test", ldm))

    def cached(self, ldm: Ldm, blocks: Sequence[int], *, test: bool = False) -> CachedFeatures:
        """The source of what `features` or `test_features` cached."""
        folder = (self.tests if test else self.work / "nets") / "cache"
        return CachedFeatures.open(folder, ldm_digests=self.digests(ldm), blocks=blocks)
