"""Keys: every field that matters changes the digest, nothing else does; the canonical form is a promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.features.key import FeatureSettings, Key, canonical, checksum, digest, named_differences
from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.ldm.noise import Draw, DrawPolicy
from ldznet_cli.samples.geometry import Geometry

IMAGE = "11" * 32
BASE = FeatureSettings(
    LdmDigests("aa", "bb", "cc", "dd"),
    Geometry("aligned", 384),
    DrawPolicy(),
    (5, 6),
    "float32",
    "float16",
    "one",
)
DRAW = Draw(400, "a photo of a {}.", bytes(32))


def z(settings: FeatureSettings = BASE, image: str = IMAGE) -> Key:
    return settings.z_key(image)


def text(settings: FeatureSettings = BASE, prompt: str = "a lamp.") -> Key:
    return settings.text_key(prompt)


def features(
    settings: FeatureSettings = BASE, image: str = IMAGE, prompt: str = "a lamp.", draw: Draw = DRAW
) -> Key:
    return settings.features_key(image, prompt, draw)


def with_part(part: str) -> FeatureSettings:
    return replace(BASE, digests=replace(BASE.digests, **{part: "ee"}))


SETTINGS = {
    "first_stage": with_part("first_stage"),
    "text": with_part("text"),
    "unet": with_part("unet"),
    "schedule": with_part("schedule"),
    "geometry kind": replace(BASE, geometry=Geometry("square", 384)),
    "geometry size": replace(BASE, geometry=Geometry("aligned", 256)),
    "blocks": replace(BASE, blocks=(5,)),
    "compute": replace(BASE, compute="bfloat16"),
    "storage": replace(BASE, storage="int8"),
    "policy": replace(BASE, policy=DrawPolicy(seed=7)),
    "name of the LDM": replace(BASE, ldm="another"),
}
MATTERS = {
    "z": {"first_stage", "geometry kind", "geometry size", "compute"},
    "text": {"text", "compute"},
    "features": set(SETTINGS) - {"policy", "name of the LDM"},
}


@pytest.mark.parametrize("changed", SETTINGS)
@pytest.mark.parametrize(("kind", "key"), [("z", z), ("text", text), ("features", features)])
def test_a_setting_changes_the_key_exactly_when_the_value_depends_on_it(
    kind: str, key: Callable[[FeatureSettings], Key], changed: str
) -> None:
    differs = digest(key(SETTINGS[changed])) != digest(key(BASE))
    assert differs == (changed in MATTERS[kind])


@pytest.mark.parametrize(
    "other",
    [
        z(image="22" * 32),
        text(prompt="A lamp."),
        features(image="22" * 32),
        features(prompt="a lamp"),
        features(draw=replace(DRAW, timestep=401)),
        features(draw=replace(DRAW, key=bytes(31) + b"\1")),
    ],
    ids=["z image", "text prompt", "image", "prompt", "timestep", "noise"],
)
def test_image_prompt_and_draw_change_the_key(other: Key) -> None:
    assert digest(other) not in {digest(z()), digest(text()), digest(features())}


def test_the_template_is_in_the_key_only_through_the_prompt() -> None:
    assert features(draw=replace(DRAW, template="{}.")) == features()


def test_each_field_of_a_key_is_in_its_digest() -> None:
    for key in (z(), text(), features()):
        digests = {digest({**key, field: "changed"}) for field in key}
        assert len(digests | {digest(key)}) == len(key) + 1


def test_canonical_form_is_the_documented_one() -> None:
    assert canonical(text(prompt="a café “x”.")) == (
        '{"compute":"float32","format":"ldznet.key/1","kind":"text","prompt":"a caf\\u00e9 \\u201cx\\u201d.",'
        '"storage":"float32","text":"bb"}'
    )
    assert digest(text()) == "cd0d774e0df3b9f16e360141998c8065e732e6694c0209cc10b1ebc99c9dc1df"
    assert list(features()) == [
        "format",
        "kind",
        "image",
        "geometry",
        "first_stage",
        "text",
        "unet",
        "schedule",
        "prompt",
        "blocks",
        "timestep",
        "noise",
        "compute",
        "storage",
    ]


def test_nan_has_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": float("nan")})


@given(st.binary(min_size=1, max_size=9000), st.data())
def test_any_changed_bit_changes_the_checksum(data: bytes, choose: st.DataObject) -> None:
    bit = choose.draw(st.integers(0, 8 * len(data) - 1))
    other = bytearray(data)
    other[bit // 8] ^= 1 << bit % 8
    assert checksum({}, data) != checksum({}, other)


def test_checksum_sees_lost_and_moved_pages_length_and_header() -> None:
    first, second = (np.random.default_rng(i).bytes(4096) for i in range(2))
    seen = [b"", b"\0", bytes(4096), bytes(4097), first, first + second, second + first, first + bytes(4096)]
    assert len({checksum({}, data) for data in seen}) == len(seen)
    assert checksum({}, first) != checksum({"key": 1}, first)


def test_keys_that_differ_say_in_what() -> None:
    assert named_differences(text(), text()) == ""
    assert named_differences(text(), {**text(), "prompt": "x", "more": 1}) == (
        "its prompt is 'x', expected 'a lamp.', its more is 1, expected 'none'"
    )
