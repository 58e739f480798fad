from __future__ import annotations

import pytest

from ldznet_cli.errors import PromptError
from ldznet_cli.samples.templates import INFERENCE_TEMPLATE, TEMPLATES, clean_phrase, prompt_of


def test_the_papers_nine() -> None:
    assert len(set(TEMPLATES)) == 9
    assert all(template.count("{}") == 1 for template in TEMPLATES)
    assert INFERENCE_TEMPLATE == "a photo of a {}."


def test_phrases_are_cleaned() -> None:
    assert prompt_of("  red \n lamp ") == "a photo of a red lamp."
    assert prompt_of("{} {0}", "{}.") == "{} {0}."
    assert clean_phrase("क्‍ष lampe à huile 🦓") == "क्‍ष lampe à huile 🦓"


@pytest.mark.parametrize("phrase", ["", "  ", "\n\t", "a\0b", "\ud800"])
def test_no_phrase(phrase: str) -> None:
    with pytest.raises(PromptError) as caught:
        prompt_of(phrase)
    str(caught.value).encode()


@pytest.mark.parametrize("template", ["a photo", "{} and {}", "{0}"])
def test_no_place_for_the_phrase(template: str) -> None:
    with pytest.raises(PromptError, match="should hold {} once"):
        prompt_of("lamp", template)
