"""Which images are meant, and which phrases about each: from annotations, or from folders and --prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ldznet_cli.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from ldznet_cli.samples.images import ImageRef

Requests = list[tuple["ImageRef", list[str]]]


def asked(
    sources: Sequence[Path],
    prompts: Sequence[str],
    gt: Path | None,
    images: Path | None,
    groups: Path | None,
    *,
    negatives: int,
    seed: int,
    phrases_needed: bool,
) -> Requests:
    """Every image with its phrases. `negatives` and `seed` are as in `samples.negatives.absent_phrases`.

    Raises UsageError for options that do not go together, PromptError, NothingToDo, AnnotationError.
    """
    if gt is not None:
        if prompts:
            raise UsageError(
                "--gt and --prompt exclude each other: phrases come from the one or from the other"
            )
        return _annotated(gt, _folder(sources, images), groups, negatives, seed)
    if images is not None or groups is not None or negatives:
        raise UsageError(
            "--images, --groups and --negatives belong to --gt; without it, name the images themselves"
        )
    if not sources:
        raise UsageError("no images: name files or folders and --prompt, or annotations with --gt")
    if not prompts and phrases_needed:
        raise UsageError("no phrases: give --prompt (it may be repeated), or --gt; --z-only needs none")
    return _listed(sources, prompts)


def _listed(sources: Sequence[Path], prompts: Sequence[str]) -> Requests:
    from ldznet_cli.samples.images import list_images
    from ldznet_cli.samples.templates import clean_phrase

    phrases = [clean_phrase(phrase) for phrase in prompts]
    return [(image, phrases) for image in list_images(sources)]


def _annotated(gt: Path, folder: Path | None, groups: Path | None, negatives: int, seed: int) -> Requests:
    from ldznet_cli.samples.coco import load_coco
    from ldznet_cli.samples.negatives import absent_phrases

    samples = load_coco(gt, images=folder, groups=groups)
    by_image = samples.by_image()
    if not by_image:
        raise NothingToDo(f"{gt} has no annotation with a phrase")
    absent = absent_phrases(samples.samples, negatives, seed)
    return [(image, [*(sample.phrase for sample in own), *absent[image]]) for image, own in by_image.items()]


def _folder(sources: Sequence[Path], images: Path | None) -> Path | None:
    if not sources:
        return images
    if images is not None or len(sources) > 1:
        raise UsageError(
            "with --gt there is one folder of images: name it once, by --images or as the argument"
        )
    return sources[0]
