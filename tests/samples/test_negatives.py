"""Phrases that name nothing in an image."""

from pathlib import Path

from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.negatives import absent_among, absent_phrases
from ldznet_cli.samples.sample import Sample
from ldznet_cli.samples.segmentation import Polygons

RING = (0.0, 0.0, 4.0, 0.0, 4.0, 4.0)


def sample(name: str, phrase: str, category: str | None = None, absent: bool = False) -> Sample:
    mask = () if absent else (Polygons((RING,)),)
    image = ImageRef(Path(name), name)
    return Sample(f"{name}/{phrase}", image, name, 8, 8, phrase, category, segmentations=mask)


def made(samples: list[Sample], crowds: dict[str, tuple[str, ...]] | None = None) -> SampleSet:
    only = {ImageRef(Path(name), name): phrases for name, phrases in (crowds or {}).items()}
    images = tuple(dict.fromkeys(sample.image for sample in samples))
    return SampleSet(tuple(samples), Path("gt.json"), "", Path(), images, len(samples), crowd_only=only)


def drawn(samples: list[Sample], per_image: int = 9, seed: int = 0) -> dict[str, tuple[str, ...]]:
    return {image.name: phrases for image, phrases in absent_phrases(made(samples), per_image, seed).items()}


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


def test_a_crowd_is_there_though_nobody_can_score_it() -> None:
    samples = [sample("a", "cup"), sample("b", "red lamp", "lamp"), sample("c", "lamp", "lamp")]
    found = absent_phrases(made(samples, {"a": ("lamp",)}), 9)
    assert {image.name: phrases for image, phrases in found.items()}["a"] == ()


def test_of_candidates_those_that_are_known_to_be_absent() -> None:
    samples = [
        sample("a", "red lamp", "lamp"),
        sample("a", "moon", absent=True),
        sample("b", "blue lamp", "lamp"),
        sample("b", "boat", "boat"),
    ]
    asked = ["boat", "red lamp", "blue lamp", "moon", "never annotated"]
    found = {image.name: phrases for image, phrases in absent_among(made(samples), lambda _: asked).items()}
    assert found == {"a": ("boat", "moon"), "b": ()}
