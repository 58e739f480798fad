"""What is annotated, in words: the phrases of a COCO-style file's categories, groups and annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ldznet_cli.errors import AnnotationError, PromptError
from ldznet_cli.samples.fields import Fields, Id, require_unique
from ldznet_cli.samples.sample import Kind
from ldznet_cli.samples.templates import clean_phrase

PHRASE_FIELDS = ("caption", "phrase", "sentence", "prompt")
"""Of an annotation, the first one it has is its phrase; without any, its category's `prompt`, else `name`."""


@dataclass(frozen=True)
class Label:
    """A phrase, the category that it stands for, and whether that is a thing or stuff."""

    phrase: str
    category: str | None = None
    kind: Kind | None = None


def category_labels(data: Fields, groups: Fields) -> dict[Id, tuple[Label, ...]]:
    """What each category is called; a category in `groups` is called by its groups instead."""
    entries = data.entries("categories", "category") if data.has("categories") else []
    require_unique([entry.id("id") for entry in entries], f"{data.where}: category")
    own = {entry.id("id"): _label(entry) for entry in entries}
    grouped = _grouped(groups, own)
    return {key: grouped.get(key, (label,)) for key, label in own.items()}


def _label(entry: Fields) -> Label:
    name = entry.text("name")
    return Label(_phrase(entry, ("prompt", "name")) or name, name, _kind(entry))


def _kind(entry: Fields) -> Kind | None:
    if entry.get("isthing") in (0, 1):
        return "thing" if entry.get("isthing") else "stuff"
    kinds: dict[Any, Kind] = {"stuff": "stuff", "object": "thing", "thing": "thing"}
    above = entry.get("supercategory")
    return kinds.get(above) if isinstance(above, str) else None


def _grouped(groups: Fields, labels: Mapping[Id, Label]) -> dict[Id, tuple[Label, ...]]:
    found: dict[Id, tuple[Label, ...]] = {}
    for name, members in groups.data.items():
        if not isinstance(members, list) or not all(
            type(key) in (int, str) and key in labels for key in members
        ):
            raise groups.wrong(name, "a list of the annotation file's category ids")
        kinds = {labels[key].kind for key in members}
        label = Label(
            _cleaned(name, f"{groups.where}: a group"), name, kinds.pop() if len(kinds) == 1 else None
        )
        for key in dict.fromkeys(members):
            found[key] = (*found.get(key, ()), label)
    return found


def annotation_labels(
    entry: Fields, labels: Mapping[Id, tuple[Label, ...]], ignored: bool
) -> tuple[Label, ...]:
    """The annotation's own phrase, or its category's labels; none for an ignored region that concerns every phrase."""
    phrase = _phrase(entry, PHRASE_FIELDS)
    of_category: tuple[Label, ...] = ()
    if entry.has("category_id"):
        key = entry.id("category_id")
        if key not in labels:
            raise AnnotationError(f"{entry.where}: category_id {key!r:.60} is not among the categories")
        of_category = labels[key]
    if phrase is not None:
        first = of_category[0] if of_category else Label(phrase)
        return (Label(phrase, first.category, first.kind),)
    if of_category or ignored:
        return of_category
    raise AnnotationError(f"{entry.where}: no phrase: expected {', '.join(PHRASE_FIELDS)} or category_id")


def _phrase(entry: Fields, names: Sequence[str]) -> str | None:
    """The first of these fields that holds words, cleaned."""
    for name in names:
        if entry.has(name) and entry.text(name).strip():
            return _cleaned(entry.text(name), f"{entry.where}: {name}")
    return None


def _cleaned(phrase: str, where: str) -> str:
    try:
        return clean_phrase(phrase)
    except PromptError as error:
        raise AnnotationError(f"{where}: {error}") from error
