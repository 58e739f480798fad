"""Phrases that name nothing in an image."""

from pathlib import Path

from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.negatives import absent_phrases
from ldznet_cli.samples.sample import Sample
from ldznet_cli.samples.segmentation import Polygons

RING = (0.0, 0.0, 4.0, 0.0, 4.0, 4.0)


def sample(name: str, phrase: str, category: str | None = None, absent: bool = False) -> Sample:
    mask = () if absent else (Polygons((RING,)),)
    image = ImageRef(Path(name), name)
    return Sample(f"{name}/{phrase}", image, name, 8, 8, phrase, category, segmentations=mask)


def drawn(samples: list[Sample], per_image: int = 9, seed: int = 0) -> dict[str, tuple[str, ...]]:
    return {image.name: phrases for image, phrases in absent_phrases(samples, per_image, seed).items()}


def test_a_phrase_of_the_image_or_of_its_category_is_never_drawn() -> None:
    samples = [
        sample("a", "red lamp", "lamp"),
        sample("b", "blue lamp", "lamp"),
        sample("b", "boat", "boat"),
        sample("c", "sky", "sky"),
        sample("c", "boat", "boat"),
    ]
    assert drawn(samples) == {
        "a": ("boat", "sky"),
        "b": ("sky",),
        "c": ("blue lamp", "red lamp"),
    }


def test_what_the_file_says_to_be_absent_is_taken_alone() -> None:
    samples = [sample("a", "cat"), sample("a", "dog", absent=True), sample("b", "cup")]
    assert drawn(samples) == {"a": ("dog",), "b": ("cat",)}


def test_the_draw_is_a_function_of_seed_and_image() -> None:
    samples = [sample(name, f"{name} thing") for name in "abcdefghij"]
    assert drawn(samples, 3) == drawn(samples[::-1], 3)
    assert drawn(samples, 3) != drawn(samples, 3, seed=1)
    assert {len(phrases) for phrases in drawn(samples, 3).values()} == {3}
