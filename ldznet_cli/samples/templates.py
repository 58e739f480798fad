"""The paper's nine prompt templates (LD-ZNet, section 4: PhraseCut phrases are wrapped in one drawn at random)."""

from __future__ import annotations

import unicodedata

from ldznet_cli.config import TEMPLATES as TEMPLATES
from ldznet_cli.errors import PromptError

INFERENCE_TEMPLATE = TEMPLATES[0]
"""The one used when masks are made: the authors' code draws one at inference too, ours gives the same mask twice."""

ENSEMBLE = "ensemble"
"""In place of a template: all nine, the mean of their logits."""


def clean_phrase(phrase: str) -> str:
    """The phrase without white space at its ends and with single spaces inside; the text encoder sees no more.

    Raises PromptError when nothing is left, or when it holds what no text encoding can hold (lone surrogates).
    """
    words = " ".join(phrase.split())
    if not words:
        raise PromptError('the phrase is empty: name what to find, as in --prompt "red lamp"')
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in words):
        raise PromptError(f"the phrase {words!a} holds characters that cannot be printed: use plain words")
    return words


def prompt_of(phrase: str, template: str = INFERENCE_TEMPLATE) -> str:
    """`template` with the phrase in place of `{}`. Raises PromptError for an empty phrase, a template without `{}`."""
    if template.count("{}") != 1:
        raise PromptError(f"the template {template!r} should hold {{}} once, where the phrase goes")
    return template.replace("{}", clean_phrase(phrase))
