"""Less to learn from: the masks of fewer scenes, or of all object classes but one. The images stay what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from ldznet_cli.errors import UsageError
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.sample import Sample


def without_class(samples: SampleSet, name: str, *, missing_ok: bool = False) -> SampleSet:
    """The samples but for those whose phrase names the class `name`, with or without colour and side.

    Those that say that it is absent go too: they are masks of it as well, empty ones. Raises UsageError for a class
    that no sample is of, unless `missing_ok`.
    """
    kept = [sample for sample in samples.samples if sample.category != name]
    if len(kept) == len(samples.samples) and not missing_ok:
        raise UsageError(f"{samples.path} has no phrase of the class {name!r} to leave out")
    return _of(samples, kept, f"without {name}")


def of_class(samples: SampleSet, name: str) -> SampleSet:
    """The samples that `without_class` leaves out and that are there. Raises UsageError where there is none."""
    kept = [sample for sample in samples.samples if sample.category == name and not sample.absent]
    if not kept:
        raise UsageError(f"{samples.path} has no phrase of the class {name!r}")
    return _of(samples, kept, f"of {name}")


def present(samples: SampleSet) -> SampleSet:
    """The samples whose phrase names something that is there: the only ones that test scenes have."""
    return _of(samples, [sample for sample in samples.samples if not sample.absent], "present")


def fewer_scenes(samples: SampleSet, count: int, seed: int = 0) -> SampleSet:
    """The samples of `count` images, drawn from the seed: a smaller count's are among a greater one's.

    Raises UsageError when there are not so many images.
    """
    ranked = sorted(samples.images, key=lambda image: _rank(image, seed))
    if not 0 < count <= len(ranked):
        raise UsageError(f"{samples.path} has {len(ranked)} images; {count} cannot be drawn")
    chosen = set(ranked[:count])
    kept = [sample for sample in samples.samples if sample.image in chosen]
    fewer = _of(samples, kept, f"{count} scenes, seed {seed}")
    return replace(fewer, images=tuple(image for image in samples.images if image in chosen))


def _rank(image: ImageRef, seed: int) -> bytes:
    return hashlib.sha256(f"ldznet.subset|{seed}|{image.name}".encode()).digest()


def _of(samples: SampleSet, kept: Sequence[Sample], what: str) -> SampleSet:
    """With a digest of its own, so that no run on the whole set is taken for one on this."""
    digest = hashlib.sha256(f"{samples.digest}|{what}".encode()).hexdigest()
    return replace(samples, samples=tuple(kept), digest=digest)
