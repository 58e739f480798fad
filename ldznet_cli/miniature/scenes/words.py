"""The words of a scene: phrases with their masks, phrases that name nothing in it, and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ldznet_cli.miniature.scenes.objects import OBJECTS
from ldznet_cli.miniature.scenes.palette import COLORS
from ldznet_cli.miniature.scenes.scene import SIZE, Kind, Mask, Region, Scene, generator
from ldznet_cli.miniature.scenes.stuff import BACKDROPS, GROUNDS, STUFF
from ldznet_cli.samples.templates import TEMPLATES

_LEAST_AREA = 0.005 * SIZE * SIZE
_PLURALS = {"fish": "fish"}
_NUMBERS = {2: "two", 3: "three", 4: "four"}
_ARTICLES = {"wooden floor": "a ", "carpet": "a ", "road": "a ", "sky": "the ", "night sky": "a ", "sunset": "a ",
             "brick wall": "a ", "wooden wall": "a ", "curtain": "a "}  # fmt: skip
"""Stuff without an entry takes no article: grass, sand, …"""
_SKIES = ("sky", "night sky", "sunset")
_MEDIA = {"photo": "a photo of ", "cartoon": "a cartoon of ", "sketch": "a sketch of "}
_FREE = (
    "{objects} on {ground} in front of {backdrop}",
    "{objects} on {ground}, {backdrop} behind",
    "{objects} on {ground} with {backdrop} in the background",
    "{ground} and {backdrop} with {objects}",
    "there {are} {objects} on {ground}",
    "{backdrop} behind {objects}",
    "{objects} and {ground}",
    "{objects} in front of {backdrop}",
    "{objects}",
)


@dataclass(frozen=True, eq=False)
class Phrase:
    """A phrase in lower case without article; `mask` is the union of all that it names, bool (128, 128)."""

    text: str
    kind: Kind
    mask: Mask


def _objects(scene: Scene) -> list[Region]:
    return [region for region in scene.regions if region.kind == "object"]


def _side(region: Region, objects: Sequence[Region]) -> str | None:
    """The position, where it tells this object from all others of its name: alone, or one of two on opposite sides."""
    others = [r for r in objects if r.name == region.name and r is not region]
    if region.position is None or len(others) > 1:
        return None
    return region.position if all(r.position not in (None, region.position) for r in others) else None


def phrases(scene: Scene) -> tuple[Phrase, ...]:
    """Every phrase of the scene, once: names, coloured names, sided names, stuff."""
    objects = _objects(scene)
    named: dict[str, list[Region]] = {}
    for region in objects:
        side = _side(region, objects)
        texts = [region.name, f"{region.color} {region.name}"]
        texts += [f"{region.name} on the {side}"] if side else []
        for text in texts:
            named.setdefault(text, []).append(region)
    for region in scene.regions:
        if region.kind == "stuff":
            named[region.name] = [region]
    found = (
        Phrase(text, rs[0].kind, np.logical_or.reduce([r.mask for r in rs])) for text, rs in named.items()
    )
    return tuple(phrase for phrase in found if phrase.mask.sum() >= _LEAST_AREA)


def absent_phrases(scene: Scene) -> tuple[str, ...]:
    """Phrases that certainly name nothing in the scene, half of them hard: a present object in an absent colour,
    an absent object in a present colour, a present object on the side where it is not."""
    random = generator("absent", scene.style, scene.seed)
    objects = _objects(scene)
    names, stuff = {r.name for r in objects}, {r.name for r in scene.regions if r.kind == "stuff"}
    other_names = _drawn(random, [n for n in OBJECTS if n not in names], 6)
    hard = [f"{objects[int(random.integers(len(objects)))].color} {n}" for n in other_names[3:]]
    for name in sorted(names):
        group = [r for r in objects if r.name == name]
        hard += [
            f"{color} {name}"
            for color in _drawn(random, [c for c in COLORS if c not in {r.color for r in group}], 3)
        ]
        sides = {r.position for r in group}
        if len(sides) == 1 and None not in sides:
            hard.append(f"{name} on the {'left' if 'right' in sides else 'right'}")
    others = [s for s in STUFF if s not in stuff and not (s == "sky" and stuff & set(_SKIES))]
    return (*other_names, *hard, *_drawn(random, others, 4))


def _drawn(random: np.random.Generator, pool: Sequence[str], count: int) -> list[str]:
    """`count` different ones, or all, in random order."""
    return [pool[i] for i in random.permutation(len(pool))[:count]]


def caption(scene: Scene, draw: int) -> str:
    """Caption number `draw`: half of them one phrase in one of the paper's templates, half a free description.

    The templates say "photo" whatever the style; 15 % of the captions name the style instead.
    """
    random = generator("caption", scene.style, scene.seed, draw)
    styled = random.random() < 0.15
    if random.random() < 0.5:
        text = _mention(scene, random)
        return (
            _MEDIA[scene.style] + _with_article(text)
            if styled
            else str(random.choice(TEMPLATES)).format(text)
        )
    text = _description(scene, random) + ("." if random.random() < 0.5 else "")
    return _MEDIA[scene.style] + text.removeprefix("there is ").removeprefix("there are ") if styled else text


def _with_article(text: str) -> str:
    """The phrase as it stands in a sentence."""
    if text in STUFF:
        return _ARTICLES.get(text, "") + text
    return ("an " if text[0] in "aeiou" else "a ") + text


def _mention(scene: Scene, random: np.random.Generator) -> str:
    """One thing of the scene in a few words, without article at its start; sometimes with a second thing."""
    objects = _objects(scene)
    if random.random() < 0.22:
        return str(random.choice([r.name for r in scene.regions if r.kind == "stuff"]))
    order = [objects[i] for i in random.permutation(len(objects))]
    first = _one(order[0], objects, random)
    if len(order) > 1 and random.random() < 0.3:
        return f"{first} and {_with_article(_one(order[1], objects, random))}"
    return first


def _one(region: Region, objects: Sequence[Region], random: np.random.Generator) -> str:
    """The object's name, mostly with its colour, sometimes with its side."""
    text = f"{region.color} {region.name}" if random.random() < 0.65 else region.name
    side = _side(region, objects)
    return f"{text} on the {side}" if side and random.random() < 0.3 else text


def _description(scene: Scene, random: np.random.Generator) -> str:
    """The whole scene in a sentence."""
    stuff = {r.name for r in scene.regions if r.kind == "stuff"}
    ground, backdrop = (next(_with_article(n) for n in names if n in stuff) for names in (GROUNDS, BACKDROPS))
    groups = _groups(scene, random)
    listed = groups[0] if len(groups) == 1 else f"{', '.join(groups[:-1])} and {groups[-1]}"
    are = "are" if groups[0].startswith(tuple(_NUMBERS.values())) else "is"
    return str(random.choice(_FREE)).format(objects=listed, ground=ground, backdrop=backdrop, are=are)


def _groups(scene: Scene, random: np.random.Generator) -> list[str]:
    """The objects in random order, like ones counted together: "two red lamps", "a blue boat on the left"."""
    objects = _objects(scene)
    coloured = random.random() < 0.85
    groups: dict[str, list[Region]] = {}
    for i in random.permutation(len(objects)):
        region = objects[i]
        groups.setdefault(f"{region.color} {region.name}" if coloured else region.name, []).append(region)
    texts: list[str] = []
    for text, group in groups.items():
        side = _side(group[0], objects) if len(group) == 1 else None
        if len(group) > 1:
            name = group[0].name
            texts.append(f"{_NUMBERS[len(group)]} {text.removesuffix(name)}{_PLURALS.get(name, name + 's')}")
        else:
            texts.append(_with_article(text) + (f" on the {side}" if side and random.random() < 0.35 else ""))
    return texts
