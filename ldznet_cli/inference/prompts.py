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
    """A phrase to look for, and the label that its mask is called by.

    With `synonyms` a pixel has the highest of their probabilities, and `phrase` is how they were typed. A pixel at
    which one of the `negatives` is more probable belongs to that, not to the phrase.
    """

    phrase: str
    label: str
    synonyms: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, negatives: Sequence[str] = (), label: str | None = None) -> Prompt:
        """ "lamp" is its own label; "lamp=light" is looked for as a lamp and called "light"; "lamp|light fixture" is
        looked for as both and called by the first. With a `label` all of the text is what is looked for.

        Raises PromptError for a phrase of only spaces, UsageError for an empty label.
        """
        asked, equals, end = ("", "", text) if label is not None else text.rpartition("=")
        if equals and not end.strip():
            raise UsageError(
                f"the prompt {text!r} ends in '=': the label comes after it, as in \"lamp=light\""
            )
        called = end if equals else label
        phrases = tuple(dict.fromkeys(map(clean_phrase, (asked if equals else text).split("|"))))
        return cls(
            phrase="|".join(phrases),
            label=phrases[0] if called is None else clean_phrase(called),
            synonyms=phrases if len(phrases) > 1 else (),
            negatives=tuple(dict.fromkeys(map(clean_phrase, negatives))),
        )

    @property
    def positives(self) -> tuple[str, ...]:
        """What is looked for: the synonyms, or the phrase alone."""
        return self.synonyms or (self.phrase,)

    @property
    def asked(self) -> tuple[str, ...]:
        """All that a predictor has to answer."""
        return (*self.positives, *self.negatives)


@dataclass(frozen=True)
class Task:
    """One image and all that is asked about it."""

    image: ImageRef
    prompts: tuple[Prompt, ...]


def prompts_of(texts: Iterable[str], negatives: Sequence[str] = ()) -> tuple[Prompt, ...]:
    """The prompts as they were typed, each once, all with these negatives.

    Raises UsageError for two that would have the same file, and what `Prompt.of` raises.
    """
    return distinct(Prompt.of(text, negatives) for text in texts)


def distinct(prompts: Iterable[Prompt]) -> tuple[Prompt, ...]:
    """Each prompt once. Raises UsageError for two that would have the same file."""
    unique = tuple(dict.fromkeys(prompts))
    taken: dict[str, Prompt] = {}
    for prompt in unique:
        other = taken.setdefault(slug(prompt.label), prompt)
        if other is not prompt:
            raise UsageError(
                f"the labels {other.label!r} and {prompt.label!r} would have the same file, {slug(prompt.label)}.png: "
                f'name one of them, as in --prompt "{prompt.phrase}=other name"'
            )
    return unique


def labels_of(tasks: Iterable[Task]) -> tuple[str, ...]:
    """Every label of a run, once, in the order in which they first come: what classes are numbered by."""
    return tuple(dict.fromkeys(prompt.label for task in tasks for prompt in task.prompts))


def prompts_of_phrases(phrases: Sequence[str], negatives: Sequence[str] = ()) -> tuple[Prompt, ...]:
    """The phrases of an annotation file, taken as they are, which nobody can rename: where two would have the same
    file, the later one's label ends in a few letters of its hash."""
    clean = tuple(dict.fromkeys(map(clean_phrase, negatives)))
    taken: set[str] = set()
    prompts = []
    for phrase in dict.fromkeys(phrases):
        label = phrase if slug(phrase) not in taken else f"{phrase} {_hash(phrase)}"
        taken.add(slug(label))
        prompts.append(Prompt(phrase, label, negatives=clean))
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
