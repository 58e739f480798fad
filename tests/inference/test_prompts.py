from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.errors import PromptError, UsageError
from ldznet_cli.inference.prompts import Prompt, Task, labels_of, prompts_of, prompts_of_phrases, slug
from ldznet_cli.samples.listing import ImageRef


@pytest.mark.parametrize(
    ("text", "phrase", "label"),
    [
        ("lamp", "lamp", "lamp"),
        ("  red   lamp ", "red lamp", "red lamp"),
        ("lamp=light", "lamp", "light"),
        ("a = b = c", "a = b", "c"),
    ],
)
def test_a_prompt_and_its_label(text: str, phrase: str, label: str) -> None:
    assert Prompt.of(text) == Prompt(phrase, label)


@pytest.mark.parametrize("text", ["", "   ", "=light", " = light"])
def test_a_phrase_of_nothing(text: str) -> None:
    with pytest.raises(PromptError):
        Prompt.of(text)


def test_a_label_of_nothing() -> None:
    with pytest.raises(UsageError, match="the label comes after it"):
        Prompt.of("lamp=")


def test_prompts_with_one_file_are_refused_and_equal_ones_are_one() -> None:
    assert prompts_of(["lamp", "tree", " lamp"]) == (Prompt("lamp", "lamp"), Prompt("tree", "tree"))
    with pytest.raises(UsageError, match=r"red-lamp\.png.*--prompt \"red-lamp=other name\""):
        prompts_of(["Red lamp", "red-lamp"])


def test_phrases_of_a_file_get_labels_of_their_own() -> None:
    first, second, third = prompts_of_phrases(["t-shirt", "t shirt", "t-shirt", "hat"])
    assert (first.label, third) == ("t-shirt", Prompt("hat", "hat"))
    assert second.phrase == "t shirt"
    assert slug(second.label).startswith("t-shirt-")


@pytest.mark.parametrize(
    ("label", "name"),
    [("Red Lamp", "red-lamp"), ("a/b\\..", "a-b"), ("Straße", "strasse"), ("лампа", "лампа"), ("a_b", "a-b")],
)
def test_slugs(label: str, name: str) -> None:
    assert slug(label) == name


def test_a_slug_of_signs_alone_is_a_hash() -> None:
    assert slug("🙂") != slug("🙃")
    assert slug("..").isalnum()


@given(st.text(min_size=1, max_size=300))
def test_a_slug_is_one_harmless_file_name(label: str) -> None:
    name = slug(label.replace("\ud800", "")) if "\ud800" in label else slug(label)
    assert name
    assert "/" not in name
    assert "." not in name
    assert len(name.encode()) < 100
    assert name == name.strip("-")


@given(st.text("aä", min_size=60, max_size=120), st.text("aä", min_size=60, max_size=120))
def test_long_labels_keep_apart(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


def test_synonyms_are_called_by_the_first_and_kept_as_typed() -> None:
    prompt = Prompt.of("lamp | light  fixture|lamp")
    assert (prompt.phrase, prompt.label) == ("lamp|light fixture", "lamp")
    assert prompt.positives == prompt.asked == ("lamp", "light fixture")
    named = Prompt.of("lamp|bulb=light", ["  moon ", "sun", "moon"])
    assert (named.label, named.negatives) == ("light", ("moon", "sun"))
    assert named.asked == ("lamp", "bulb", "moon", "sun")
    assert Prompt.of("lamp").positives == ("lamp",)


@pytest.mark.parametrize("text", ["lamp|", "|", "lamp||bulb", "lamp|=x"])
def test_a_synonym_of_nothing(text: str) -> None:
    with pytest.raises(PromptError):
        Prompt.of(text)


def test_phrases_of_a_file_are_taken_as_they_are() -> None:
    (prompt,) = prompts_of_phrases(["black|white cat=3"], ["dog"])
    assert prompt == Prompt("black|white cat=3", "black|white cat=3", negatives=("dog",))
    assert prompt.positives == ("black|white cat=3",)


def test_labels_are_numbered_as_they_come() -> None:
    tasks = [
        Task(ImageRef(Path(name), name), prompts_of(texts)) for name, texts in (("a", "xy"), ("b", "zy"))
    ]
    assert labels_of(tasks) == ("x", "y", "z")
