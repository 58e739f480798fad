"""What the page may say of the protocol's expectations."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ldznet_cli.miniature.paper.cells import verdict
from ldznet_cli.miniature.paper.jobs import jobs
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.results import Result
from ldznet_cli.miniature.paper.statistics import Estimate, Term, combination, difference
from ldznet_cli.miniature.paper.verdicts import MIOU, claims, verdicts

PROTOCOL = replace(Protocol(), seeds=(0, 1))
IMAGES = np.random.default_rng(0).normal(0, 0.05, 400)


def result(job: str, **numbers: float) -> Result:
    """Its numbers `photo` and so on; every replicate moves with the images drawn, as in all other runs."""
    named = {f"{style}/{miou}": value for style, value in numbers.items() for miou in MIOU}
    drawn = {name: value + IMAGES for name, value in named.items()}
    return Result(job, {}, 1, {}, named, {}, drawn)


def table_of(*results: Result) -> list[list[str]]:
    text = verdicts({one.job: one for one in results}, PROTOCOL)
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()[2:]]


def test_every_claim_names_jobs_that_there_are() -> None:
    known = {job.name for job in jobs(PROTOCOL)}
    every = list(claims(PROTOCOL, MIOU[0]))
    assert {job for claim in every for _, names, _ in claim.parts for job in names} <= known
    assert len({(claim.text, claim.style) for claim in every}) == len(every)
    assert all(sum(weight for weight, _, _ in claim.parts) == 0 for claim in every)


def test_an_order_is_claimed_with_every_seed_and_only_so() -> None:
    znets = [result(f"znet-s{seed}", photo=0.6) for seed in (0, 1)]
    rgbnets = [result(f"rgbnet-s{seed}", photo=0.5) for seed in (0, 1)]
    [both] = table_of(*znets, *rgbnets)
    assert both == ["ZNet above RGBNet", "photo", "2", *("10.0 [10.0, 10.0]", "–", "yes") * 2]
    [one] = table_of(znets[0], *rgbnets)
    assert (one[2], one[5]) == ("1", "points to yes")
    ldznets = [result(f"ldznet-s{seed}", photo=0.55) for seed in (0, 1)]
    assert [row[5] for row in table_of(*ldznets, *znets, *rgbnets)] == ["yes", "**no**"]


@pytest.mark.parametrize(
    ("low", "high", "seeds", "said"),
    [
        (-0.1, 0.1, 2, "not told apart"),
        (0.1, 0.2, 2, "yes"),
        (-0.2, -0.1, 2, "**no**"),
        (-0.2, -0.1, 1, "points to **no**"),
        (math.nan, math.nan, 2, "–"),
    ],
)
def test_the_word_for_an_interval(low: float, high: float, seeds: int, said: str) -> None:
    assert verdict(Estimate((low + high) / 2, low, high, seeds), PROTOCOL) == said


def test_a_lead_is_wider_where_the_difference_of_differences_is_positive() -> None:
    znets = [result(f"znet-s{seed}", photo=0.6, cartoon=0.5) for seed in (0, 1)]
    rgbnets = [result(f"rgbnet-s{seed}", photo=0.5, cartoon=0.3) for seed in (0, 1)]
    rows = {(row[0], row[1]): row for row in table_of(*znets, *rgbnets)}
    assert rows["ZNet's lead over RGBNet wider than on photo", "cartoon"][2:6] == [
        "2",
        "10.0 [10.0, 10.0]",
        "–",
        "yes",
    ]


def test_what_was_not_run_is_not_spoken_of() -> None:
    assert verdicts({}, PROTOCOL) == ""


def test_seeds_of_the_same_runs_are_redrawn_together() -> None:
    runs = [result(f"ldznet-s{seed}", photo=value) for seed, value in ((0, 0.5), (1, 0.7))]
    name = "photo/all/mIoU@own"
    alone = combination([Term(1, runs, name), Term(-1, runs, name)])
    assert (alone.value, alone.low, alone.high) == (0, 0, 0)
    others = [replace(run, job=f"other-{run.job}") for run in runs]
    assert difference(runs, others, name).high > 0.1
