"""The words of a scene mean what they say."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from ldznet_cli.miniature.scenes import (
    BACKDROPS,
    COLORS,
    GROUNDS,
    OBJECTS,
    SIZE,
    STYLES,
    Region,
    Scene,
    absent_phrases,
    caption,
    phrases,
    render,
    scene_seed,
)
from ldznet_cli.samples.templates import TEMPLATES


def region(name: str, left: int, color: str | None = "red", position: str | None = None) -> Region:
    mask = np.zeros((SIZE, SIZE), dtype=np.bool_)
    mask[40:70, left : left + 30] = True
    return Region("object", name, color, mask, position)  # type: ignore[arg-type]


def scene_of(*objects: Region) -> Scene:
    rest = ~np.logical_or.reduce([r.mask for r in objects])
    below = np.zeros_like(rest)
    below[64:] = True
    stuff = (
        Region("stuff", "grass", None, rest & below, None),
        Region("stuff", "night sky", None, rest & ~below, None),
    )
    return Scene("photo", 0, np.zeros((SIZE, SIZE, 3), dtype=np.uint8), (*objects, *stuff))


TWO_LAMPS = scene_of(
    region("lamp", 5, "red", "left"), region("lamp", 90, "blue", "right"), region("cat", 50, "red")
)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render(style, scene_seed(43, index)) for style in STYLES for index in range(80)]


def texts(scene: Scene) -> dict[str, np.ndarray]:
    return {phrase.text: phrase.mask for phrase in phrases(scene)}


def test_phrases_of_a_hand_made_scene() -> None:
    left, right, cat = (r.mask for r in TWO_LAMPS.regions[:3])
    found = texts(TWO_LAMPS)
    expected = {
        "lamp": left | right,
        "red lamp": left,
        "blue lamp": right,
        "lamp on the left": left,
        "lamp on the right": right,
        "cat": cat,
        "red cat": cat,
        "grass": TWO_LAMPS.regions[3].mask,
        "night sky": TWO_LAMPS.regions[4].mask,
    }
    assert set(found) == set(expected)
    for text, mask in expected.items():
        np.testing.assert_array_equal(found[text], mask, err_msg=text)


@pytest.mark.parametrize(
    "objects",
    [
        (region("lamp", 5, "red", "left"), region("lamp", 20, "blue", "left")),
        (region("lamp", 5, "red", "left"), region("lamp", 50, "blue", None)),
        (
            region("lamp", 5, "red", "left"),
            region("lamp", 50, "blue", None),
            region("lamp", 90, "blue", "right"),
        ),
    ],
)
def test_no_side_is_named_where_it_is_ambiguous(objects: tuple[Region, ...]) -> None:
    assert not any("on the" in text for text in texts(scene_of(*objects)))


def test_like_objects_are_one_phrase() -> None:
    pair = scene_of(region("hat", 5, "pink", "left"), region("hat", 90, "pink", "right"))
    np.testing.assert_array_equal(texts(pair)["pink hat"], pair.regions[0].mask | pair.regions[1].mask)


def test_a_sliver_has_no_phrase() -> None:
    thin = region("cat", 50)
    mask = np.zeros_like(thin.mask)
    mask[0, :81] = True
    assert set(texts(scene_of(Region("object", "cat", "red", mask, None)))) == {"grass", "night sky"}


def test_a_phrase_covers_exactly_the_regions_that_it_names(scenes: list[Scene]) -> None:
    """Read back from its words alone, each phrase selects the union of the regions that fit them."""
    for scene in scenes:
        found = phrases(scene)
        assert len({phrase.text for phrase in found}) == len(found)
        for phrase in found:
            bare, _, side = phrase.text.partition(" on the ")
            fitting = [
                r for r in scene.regions
                if bare in (r.name, f"{r.color} {r.name}") and side in ("", r.position)
            ]  # fmt: skip
            assert {r.kind for r in fitting} == {phrase.kind}
            np.testing.assert_array_equal(phrase.mask, np.logical_or.reduce([r.mask for r in fitting]))
            assert phrase.mask.sum() >= 0.005 * SIZE * SIZE
            assert phrase.text == phrase.text.lower()


def test_every_object_and_stuff_has_its_phrases(scenes: list[Scene]) -> None:
    for scene in scenes:
        found = texts(scene)
        for r in scene.regions:
            assert r.name in found
            assert r.color is None or f"{r.color} {r.name}" in found


def test_absent_phrases_name_nothing_in_the_scene(scenes: list[Scene]) -> None:
    for scene in scenes:
        absent = absent_phrases(scene)
        assert absent == absent_phrases(scene)
        assert len(set(absent)) == len(absent)
        for text in absent:
            bare, _, side = text.partition(" on the ")
            fitting = [r for r in scene.regions if bare in (r.name, f"{r.color} {r.name}")]
            assert not [r for r in fitting if side in ("", r.position)]
        named = {r.name for r in scene.regions}
        if named & {"night sky", "sunset"}:
            assert "sky" not in absent


def test_some_absent_phrases_are_hard(scenes: list[Scene]) -> None:
    for scene in scenes:
        present = {r.name for r in scene.regions if r.kind == "object"}
        colors = {r.color for r in scene.regions if r.color}
        absent = absent_phrases(scene)
        assert present <= {text.split(" ", 1)[-1] for text in absent if text.split(" ")[0] in COLORS}
        assert any(text.split(" ")[0] in colors and text.split(" ")[1] not in present for text in absent)
        assert any(text in OBJECTS for text in absent)
        assert any(text in (*GROUNDS, *BACKDROPS) for text in absent)


def test_captions_use_every_word_that_phrases_and_templates_use(scenes: list[Scene]) -> None:
    wanted = set(re.findall("[a-z]+", " ".join(TEMPLATES)))
    used: set[str] = set()
    for scene in scenes:
        for text in (*texts(scene), *absent_phrases(scene)):
            wanted |= set(re.findall("[a-z]+", text))
        for draw in range(15):
            used |= set(re.findall("[a-z]+", caption(scene, draw)))
    assert wanted <= used
    assert {"cartoon", "sketch", "two"} <= used


def test_captions_are_functions_of_scene_and_draw() -> None:
    scene = render("cartoon", 9)
    some = [caption(scene, draw) for draw in range(60)]
    assert some == [caption(scene, draw) for draw in range(60)]
    assert len(set(some)) > 25
    assert all(text == text.lower() and text == text.strip() and "{" not in text for text in some)


def test_captions_name_nothing_that_is_not_there(scenes: list[Scene]) -> None:
    for scene in scenes:
        names = {r.name for r in scene.regions}
        pairs = {f"{r.color} {r.name}" for r in scene.regions}
        for draw in range(6):
            text = re.sub(r"\b(lamp|tree|boat|mushroom|cup|house|car|star|bottle|umbrella|flower|hat|cat)s\b", r"\1",
                          caption(scene, draw))  # fmt: skip
            assert {name for name in OBJECTS if re.search(rf"\b{name}\b", text)} <= names
            for color, name in re.findall(rf"\b({'|'.join(COLORS)}) (\w+)", text):
                assert f"{color} {name}" in pairs


def test_about_half_the_captions_are_templates_and_a_seventh_name_the_style(scenes: list[Scene]) -> None:
    starts: Counter[str] = Counter()
    for scene in (s for s in scenes if s.style != "photo"):
        for draw in range(10):
            text = caption(scene, draw)
            starts["style"] += text.startswith(f"a {scene.style} of")
            starts["template"] += "photo" in text or text.startswith("an image of")
            starts["all"] += 1
    assert 0.1 < starts["style"] / starts["all"] < 0.2
    assert 0.3 < starts["template"] / starts["all"] < 0.5


@pytest.mark.parametrize("draws", [300])
def test_grammar_of_free_captions(draws: int) -> None:
    pair = scene_of(region("umbrella", 5, "orange", "left"), region("umbrella", 90, "orange", "right"))
    some = {caption(pair, draw) for draw in range(draws)}
    assert any("two orange umbrellas" in text for text in some)
    assert any("there are two" in text for text in some)
    free = {caption(TWO_LAMPS, draw) for draw in range(draws)} - {
        template.format(t) for template in TEMPLATES for t in texts(TWO_LAMPS)
    }
    assert any(re.search("a red cat.* and a ", text) for text in free)
    orders = [text.index("lamp") < text.index("cat") for text in free if "lamp" in text and "cat" in text]
    assert {True, False} == set(orders)


def test_a_and_an_are_right_where_captions_are_free(scenes: list[Scene]) -> None:
    for scene in scenes:
        for draw in range(6):
            text = caption(scene, draw)
            if re.match(r"(a (photo|photograph|cropped|good|bad)|an image)", text):
                text = " and ".join(text.split(" and ")[1:])
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), text
