"""Which images are meant, and which phrases about each: from annotations, or from folders and --prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ldznet_cli.cli import options
from ldznet_cli.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from ldznet_cli.features import Shard, Store
    from ldznet_cli.samples.images import ImageRef
    from ldznet_cli.samples.sample import Sample
    from ldznet_cli.samples.view import ViewPolicy

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
    views: ViewPolicy | None = None,
    shard: Shard | None = None,
) -> Requests:
    """Every image with its phrases. `negatives` and `seed` are as in `samples.negatives.absent_phrases`.

    With `views` each of its phrases is also put to that many views of the image; with `shard` to those of its images
    alone, because drawing them takes a while.

    Raises UsageError for options that do not go together, PromptError, NothingToDo, AnnotationError.
    """
    if gt is not None:
        if prompts:
            raise UsageError(
                "--gt and --prompt exclude each other: phrases come from the one or from the other"
            )
        return _annotated(
            gt, options.image_folder(sources, images, "--gt"), groups, negatives, seed, views, shard
        )
    if images is not None or groups is not None or negatives or views:
        raise UsageError(
            "--images, --groups, --negatives and --views belong to --gt; without it, name the images themselves"
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


def _annotated(
    gt: Path,
    folder: Path | None,
    groups: Path | None,
    negatives: int,
    seed: int,
    views: ViewPolicy | None,
    shard: Shard | None,
) -> Requests:
    from ldznet_cli.samples.coco import load_coco
    from ldznet_cli.samples.negatives import absent_phrases

    samples = load_coco(gt, images=folder, groups=groups)
    by_image = samples.by_image()
    if not by_image:
        raise NothingToDo(f"{gt} has no annotation with a phrase")
    absent = absent_phrases(samples, negatives, seed)
    whole = [
        (image, [*dict.fromkeys(sample.phrase for sample in own), *absent[image]])
        for image, own in by_image.items()
    ]
    if views is None:
        return whole
    return whole + [
        seen for image, own in by_image.items() for seen in _seen(image, own, absent[image], views, shard)
    ]


def _seen(
    image: ImageRef,
    samples: Sequence[Sample],
    absent: Sequence[str],
    policy: ViewPolicy,
    shard: Shard | None,
) -> Iterator[tuple[ImageRef, list[str]]]:
    """The views of an image, each with the phrase that it was drawn for; none of one that cannot be read, or that is in
    another shard."""
    from ldznet_cli.errors import ImageError
    from ldznet_cli.samples.images import sha256_of

    try:
        sha256 = sha256_of(image.path)
    except ImageError:
        return  # which the plan says of the whole image
    if shard is not None and not shard.holds(sha256):
        return
    size = (samples[0].width, samples[0].height)
    # One of each sample, by its own mask: the same words may be said of different things of an image.
    asked = [(sample.phrase, None if sample.absent else sample.mask()) for sample in samples]
    for phrase, mask in [*asked, *((phrase, None) for phrase in absent)]:
        for index in range(1, 1 + (policy.count or 0)):
            view = policy.of(sha256, phrase, index, size, mask)
            yield replace(image, view=view), [view.of_phrase(phrase)]


def failed_before(requests: Requests, store: Store, shard: Shard) -> Requests:
    """Those whose image the last run could not read. Raises NothingToDo when there is none."""
    from ldznet_cli.features.events import read_failures

    failed = {path.absolute() for path in read_failures(store.place, shard)}
    kept = [(image, phrases) for image, phrases in requests if image.path.absolute() in failed]
    if not kept:
        raise NothingToDo(
            f"none of these images is among the {len(failed)} that failed in {store.place.shown()}"
        )
    return kept


def everywhere(requests: Requests) -> Requests:
    """The same images by paths that mean the same to workers in other folders."""
    return [(replace(image, path=image.path.absolute()), phrases) for image, phrases in requests]
