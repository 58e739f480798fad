"""What is asked of an image: phrases, each with the label that its mask goes by."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ldznet_cli.errors import UsageError
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.templates import clean_phrase

_LONGEST = 80
"""Bytes of a slug: with a hash and `.overlay.jpg` after it, a name that every file system takes."""


@dataclass(frozen=True)
class Prompt:
    """A phrase to look for, and the label that its mask is called by."""

    phrase: str
    label: str

    @classmethod
    def of(cls, text: str) -> Prompt:
        """ "lamp" is its own label; "lamp=light" is looked for as a lamp and called "light".

        Raises PromptError for a phrase of only spaces, UsageError for an empty label.
        """
        phrase, equals, label = text.rpartition("=")
        if not equals:
            return cls(clean_phrase(text), clean_phrase(text))
        if not label.strip():
            raise UsageError(
                f"the prompt {text!r} ends in '=': the label comes after it, as in \"lamp=light\""
            )
        return cls(clean_phrase(phrase), clean_phrase(label))


@dataclass(frozen=True)
class Task:
    """One image and all that is asked about it."""

    image: ImageRef
    prompts: tuple[Prompt, ...]


def prompts_of(texts: Iterable[str]) -> tuple[Prompt, ...]:
    """The prompts as they were typed, each once.

    Raises UsageError for two that would have the same file, and what `Prompt.of` raises.
    """
    prompts = tuple(dict.fromkeys(map(Prompt.of, texts)))
    taken: dict[str, Prompt] = {}
    for prompt in prompts:
        other = taken.setdefault(slug(prompt.label), prompt)
        if other is not prompt:
            raise UsageError(
                f"the labels {other.label!r} and {prompt.label!r} would have the same file, {slug(prompt.label)}.png: "
                f'name one of them, as in --prompt "{prompt.phrase}=other name"'
            )
    return prompts


def prompts_of_phrases(phrases: Sequence[str]) -> tuple[Prompt, ...]:
    """The phrases of an annotation file, which nobody can rename: where two would have the same file, the later one's
    label ends in a few letters of its hash."""
    taken: set[str] = set()
    prompts = []
    for phrase in dict.fromkeys(phrases):
        label = phrase if slug(phrase) not in taken else f"{phrase} {_hash(phrase)}"
        taken.add(slug(label))
        prompts.append(Prompt(phrase, label))
    return tuple(prompts)


def slug(label: str) -> str:
    """The label as a file's name: letters and digits in small letters, hyphens for all between them.

    What holds neither letters nor digits, or is too long for a file's name, is told by (some letters and) its hash.
    """
    plain = unicodedata.normalize("NFC", label.casefold())
    name = re.sub(r"[\W_]+", "-", plain).strip("-")
    if not name:
        return _hash(label)
    return name if len(name.encode()) <= _LONGEST else f"{_cut(name)}-{_hash(label)}"


def _cut(name: str) -> str:
    return name.encode()[:_LONGEST].decode(errors="ignore").strip("-")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
