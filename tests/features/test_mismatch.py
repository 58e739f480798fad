"""What differs is named; what does not matter is not compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ldznet_cli.features.key import FeatureSettings
from ldznet_cli.features.mismatch import Wanted
from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.geometry import Geometry

FOUND = FeatureSettings(
    LdmDigests("aa", "bb", "cc", "dd"),
    Geometry("aligned", 384),
    DrawPolicy(),
    (5, 6, 7),
    "float32",
    "float16",
    "sd",
)
SAME = Wanted(FOUND.digests, FOUND.geometry, FOUND.policy, FOUND.blocks, FOUND.compute, FOUND.storage)
OTHERS = {
    "the LDM's first_stage": replace(SAME, digests=replace(FOUND.digests, first_stage="ee")),
    "the LDM's text": replace(SAME, digests=replace(FOUND.digests, text="ee")),
    "the LDM's unet": replace(SAME, digests=replace(FOUND.digests, unet=None)),
    "the LDM's schedule": replace(SAME, digests=replace(FOUND.digests, schedule="ee")),
    "geometry.kind": replace(SAME, geometry=Geometry("square", 384)),
    "geometry.size": replace(SAME, geometry=Geometry("aligned", 256)),
    "seed": replace(SAME, policy=DrawPolicy(seed=1)),
    "timesteps": replace(SAME, policy=DrawPolicy(timesteps=(0, 10))),
    "template": replace(SAME, policy=DrawPolicy(template="{}.")),
    "compute": replace(SAME, compute="bfloat16"),
    "storage": replace(SAME, storage="int8"),
    "blocks": replace(SAME, blocks=(5, 9)),
}
ONLY_FEATURES = {"the LDM's unet", "the LDM's schedule", "timesteps", "storage", "blocks"}


def test_the_same_does_not_differ_and_nothing_asked_is_always_met() -> None:
    assert SAME.differences(FOUND) == []
    assert Wanted().differences(FOUND) == []


@pytest.mark.parametrize("field", OTHERS)
def test_the_field_that_differs_is_named(field: str) -> None:
    [(named, expected, found)] = OTHERS[field].differences(FOUND)
    assert named == field
    assert expected != found


@pytest.mark.parametrize("field", OTHERS)
def test_for_z_and_text_only_what_concerns_them_is_compared(field: str) -> None:
    differences = replace(OTHERS[field], blocks=()).differences(FOUND)
    assert [name for name, _, _ in differences] == ([] if field in ONLY_FEATURES else [field])


def test_fewer_blocks_than_were_cached_will_do() -> None:
    assert replace(SAME, blocks=(6,)).differences(FOUND) == []
