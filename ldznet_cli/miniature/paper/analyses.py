"""What is looked at beside the tables: probes of every block and timestep, noise draws, what the grid allows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ldznet_cli.analysis.probes import ProbeRecipe, object_samples, probe_scores
from ldznet_cli.features import LiveFeatures
from ldznet_cli.ldm import DrawPolicy, FrozenLDM
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper.ceiling import ceilings
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.nets import Tested
from ldznet_cli.miniature.paper.scores import Scores, merged, net_maps, score
from ldznet_cli.miniature.paper.subsets import fewer_scenes
from ldznet_cli.miniature.scenes import SIZE
from ldznet_cli.nets import load_net, read_info
from ldznet_cli.samples.geometry import Geometry

BLIND = "no phrase/"
GRIDS = ((8, 8), (16, 16), (32, 32), (64, 64))
"""The coarsest block's, the latent's, and two finer ones, for scenes of 128 pixels a side."""


def probe(world: World) -> Tested:
    """`block 4/t=350`: AP of a probe trained on `photo` training scenes, scored on `photo` validation scenes.

    `no phrase/block 4/t=350` is the same with the empty prompt in place of the phrase: what a block shows of objects,
    whatever they are called.
    """
    yield from world.scenes()
    protocol = world.protocol
    ldm = FrozenLDM.load(world.ldm("bundled"), blocks=None)
    seed = protocol.seeds[0]
    training = object_samples(world.samples("train").samples, protocol.probe_training, seed)
    unseen = object_samples(world.samples("validation").samples, protocol.probe_test, seed)
    numbers: dict[str, float] = {}
    names: dict[str, str] = {}
    intervals: dict[str, list[float]] = {}
    chance = 0.0
    total = 2 * len(ldm.blocks) * len(protocol.timesteps)
    for blind in (False, True):
        recipe = ProbeRecipe(timesteps=protocol.timesteps, side=SIZE, seed=seed, blind=blind)
        for found in probe_scores(ldm, training, unseen, recipe):
            key = f"{BLIND if blind else ''}block {found.block}/t={found.timestep}"
            numbers[key], intervals[key] = found.ap, [found.low, found.high]
            names[str(found.block)], chance = found.name, found.chance
            yield BuildEvent("probes", len(numbers), total)
    about = {"blocks": names, "intervals": intervals, "chance": chance}
    return about, Scores(numbers, {}, {"training": len(training), "test": len(unseen)})


def test_draws(world: World, folder: Path) -> Tested:
    """`4 draws/photo/…` and `t=400/photo/…`: LD-ZNet with draws averaged, and at one timestep, on fewer scenes."""
    yield from world.test_scenes()
    protocol, net, info = world.protocol, load_net(folder), read_info(folder)
    ldm = FrozenLDM.load(world.ldm("bundled"), blocks=net.config.blocks)
    geometry, fixed = Geometry("aligned", ldm.default_size), protocol.fixed_timestep
    ways = [(f"{draws} draws", DrawPolicy(), draws) for draws in protocol.draws]
    ways += [(f"t={fixed}", replace(DrawPolicy(), timesteps=(fixed, fixed + 1)), 1)]
    parts = []
    for style in protocol.styles:
        samples = fewer_scenes(world.test(style), protocol.grounding_scenes, protocol.seeds[0])
        for name, policy, draws in ways:
            maps = net_maps(net, LiveFeatures(ldm, geometry, policy), samples, geometry, draws=draws)
            parts.append((f"{name}/{style}", score(samples, maps, info.threshold, protocol.replicates)))
            yield BuildEvent("noise draws", len(parts), len(ways) * len(protocol.styles))
    return {"scenes": protocol.grounding_scenes}, merged(parts)


def measure_ceiling(world: World) -> Tested:
    """`16x16/thing`: mIoU of the true masks of the test scenes once averaged to a grid and brought back."""
    yield from world.test_scenes()
    numbers, samples = {}, {}
    for style in world.protocol.styles:
        truth = ((str(one.kind), one.mask()) for one in world.test(style).samples if not one.absent)
        for found in ceilings(truth, GRIDS):
            key = f"{style}/{found.grid[0]}x{found.grid[1]}/{found.kind}"
            numbers[key], samples[key] = found.miou, found.masks
    yield BuildEvent("ceilings", 1, 1)
    return {"grids": [list(grid) for grid in GRIDS]}, Scores(numbers, {}, samples)
