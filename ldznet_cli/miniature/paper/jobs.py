"""The study's runs, in the order in which they are done: each one JSON, and but for CLIPSeg's under 40 minutes.

A job is a generator: it tells how far it is and returns its result. What it needs of other jobs it reads from theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ldznet_cli.errors import NothingToDo
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper import analyses, baseline, maps, pictures, real
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.nets import Tested, measure_fit, test_net, validate_controls
from ldznet_cli.miniature.paper.protocol import Ldm, Protocol
from ldznet_cli.miniature.paper.results import Result, Results, machine
from ldznet_cli.miniature.paper.scores import Scores
from ldznet_cli.miniature.paper.training import Variant, train_net, trained
from ldznet_cli.nets.config import KINDS, Kind

Made = Generator[BuildEvent, None, tuple[Mapping[str, object], Scores]]
"""What a job gives: what is to be said about the run, and its numbers."""

THREE = tuple(Variant(kind, kind, kind) for kind in KINDS)
"""The paper's tables (a) and (b)."""
RANDOM_LDM = Variant("ldznet-random-ldm", "ldznet", "ldznet", ldm="random", start="bundled")
"""It starts as LD-ZNet does: nothing but the features is another LDM's."""
FEW: tuple[Kind, ...] = ("znet", "ldznet")
"""The nets whose gap is asked for: where the LDM knows less, and where masks are few."""
YOUNGER: tuple[Ldm, ...] = ("early", "middle")
GROWTH = tuple(Variant(f"{kind}-{ldm}-ldm", kind, kind, ldm=ldm) for ldm in YOUNGER for kind in FEW)
"""Weights, text and features are the younger LDM's."""
FUSIONS = (
    Variant("ldznet-concat", "ldznet", "ldznet", fusion="concat"),
    Variant("ldznet-no-positions", "ldznet", "ldznet", positions=False),
)
INITS = tuple(Variant(f"{kind}-random-init", kind, kind, init="random") for kind in KINDS)


@dataclass(frozen=True)
class Job:
    """`tested` jobs are scored on test scenes, and wait for their seed (`real` ones on pictures of others)."""

    name: str
    tier: int
    tested: bool
    make: Callable[[World, Results], Made]
    real: bool = False
    """Needs real pictures."""

    def run(self, world: World, results: Results) -> Generator[BuildEvent, None, Result]:
        """Do it."""
        begun = time.monotonic()
        about, scores = yield from self.make(world, results)
        protocol = world.protocol
        return Result(
            job=self.name,
            protocol={"version": protocol.version, "digest": protocol.digest},
            test_seed=world.seed() if self.tested and not self.real else None,
            about={**about, "job_seconds": round(time.monotonic() - begun, 1)},
            numbers=scores.numbers,
            samples=scores.samples,
            replicates=scores.replicates,
            machine=machine(),
        )


def jobs(protocol: Protocol) -> list[Job]:
    """All of them."""
    return [
        *_rates(protocol),
        *_tables(protocol),
        Job("feature-use", 1, False, partial(_with_ldznet, validate_controls)),
        Job("fit", 1, False, _fit),
        *_maps(),
        *_growth(protocol),
        *_analyses(),
        *_ablations(protocol),
        *_baselines(),
        *_real(),
    ]


def _rates(protocol: Protocol) -> list[Job]:
    """Each net's learning rate, on validation scenes."""
    return [
        Job(tuning(variant.name, rate), 1, False, partial(_tune, variant, rate))
        for variant in THREE
        for rate in protocol.learning_rates
    ]


def tuning(name: str, rate: float) -> str:
    """The job that tries a learning rate."""
    return f"rate-{name}-{rate:g}"


def _tables(protocol: Protocol) -> list[Job]:
    """Tables (a) and (b) with their controls, seed by seed, so that what is there can always be compared."""
    return [
        Job(seeded(variant.name, seed), 1, True, partial(_trained_and_tested, variant, seed))
        for seed in protocol.seeds
        for variant in (*THREE, RANDOM_LDM)
    ]


def seeded(name: str, seed: int) -> str:
    """The job of a net that is run with several seeds."""
    return f"{name}-s{seed}"


def runs_of(name: str, results: Results, protocol: Protocol) -> list[Result]:
    """The runs of one net that are there, by seed."""
    return [results[job] for seed in protocol.seeds if (job := seeded(name, seed)) in results]


def _growth(protocol: Protocol) -> list[Job]:
    return [_single(variant, protocol, tier=1) for variant in GROWTH]


def _maps() -> list[Job]:
    return [
        Job("pictures", 1, True, partial(_with_ldznet, pictures.draw)),
        Job("noise-difference-by-timestep", 1, True, _alone(maps.test_grounding)),
        Job("ceiling", 1, True, _alone(analyses.measure_ceiling)),
    ]


def _analyses() -> list[Job]:
    return [
        Job("probes", 2, False, _alone(analyses.probe)),
        Job("draws", 2, True, partial(_with_ldznet, analyses.test_draws)),
    ]


def _baselines() -> list[Job]:
    return [
        Job("category-mean", 2, True, _alone(maps.test_category_mean)),
        Job("noise-difference", 2, True, _alone(maps.test_noise_difference)),
        Job("clipseg", 2, True, _alone(baseline.test_clipseg)),
    ]


def _real() -> list[Job]:
    nets = [
        Job(f"real-{name}-{kind}", 2, True, partial(_on_real_pictures, name, kind), real=True)
        for name in real.SPLITS
        for kind in real.KINDS
    ]
    floors = [
        Job(f"real-{name}-mean", 2, True, _alone(partial(real.test_real_mean, name=name)), real=True)
        for name in real.SPLITS
    ]
    return nets + floors


def _on_real_pictures(name: str, kind: Kind, world: World, results: Results) -> Made:
    """A variant of the net, with its learning rate."""
    return (yield from real.test_real(world, name, kind, chosen_rate(kind, results, world.protocol)))


def _alone(run: Callable[[World], Tested]) -> Callable[[World, Results], Made]:
    """A job that needs nothing of the others."""
    return lambda world, _results: run(world)


def _with_ldznet(run: Callable[[World, Path], Tested], world: World, results: Results) -> Made:
    """A job on the LD-ZNet of the tables' first seed."""
    folder = yield from _first(THREE[-1], world, results)
    return (yield from run(world, folder))


def _fit(world: World, results: Results) -> Made:
    folders = {}
    for variant in THREE:
        folders[variant.name] = yield from _first(variant, world, results)
    return (yield from measure_fit(world, folders))


def _first(variant: Variant, world: World, results: Results) -> Generator[BuildEvent, None, Path]:
    """The variant's run with the first seed."""
    rate = chosen_rate(variant.name, results, world.protocol)
    return (yield from train_net(world, variant, rate, world.protocol.seeds[0]))


def _ablations(protocol: Protocol) -> list[Job]:
    variants = (*FUSIONS, *INITS, *few_masks(protocol), *novel(protocol))
    return [_single(variant, protocol, tier=2) for variant in variants]


def few_masks(protocol: Protocol) -> list[Variant]:
    """Fewer scenes to learn masks from."""
    return [
        Variant(f"{kind}-{count}-masks", kind, kind, scenes=count)
        for count in protocol.mask_counts
        for kind in FEW
    ]


def novel(protocol: Protocol) -> list[Variant]:
    """One class without masks."""
    return [Variant(f"{kind}-novel", kind, kind, without=protocol.novel) for kind in FEW]


def _single(variant: Variant, protocol: Protocol, tier: int) -> Job:
    return Job(variant.name, tier, True, partial(_trained_and_tested, variant, protocol.seeds[0]))


def _tune(variant: Variant, rate: float, world: World, _results: Results) -> Made:
    folder = yield from train_net(world, variant, rate, world.protocol.seeds[0])
    return {"variant": variant.name, **trained(folder)}, Scores({}, {}, {})


def chosen_rate(name: str, results: Results, protocol: Protocol) -> float:
    """The learning rate with the highest validation mIoU. Raises NothingToDo as long as one of them was not tried."""
    tried = {rate: results.get(tuning(name, rate)) for rate in protocol.learning_rates}
    missing = [tuning(name, rate) for rate, result in tried.items() if result is None]
    if missing:
        raise NothingToDo(
            f"the learning rate of {name} is not chosen yet: {', '.join(missing)} must be run first"
        )
    return max(tried, key=lambda rate: tried[rate].about["best"]["miou"])  # type: ignore[union-attr]


def _trained_and_tested(variant: Variant, seed: int, world: World, results: Results) -> Made:
    rate = chosen_rate(variant.tuned, results, world.protocol)
    folder = yield from train_net(world, variant, rate, seed)
    about, scores = yield from test_net(world, variant, folder)
    return {"variant": variant.name, **trained(folder), **about}, scores
