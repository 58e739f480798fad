"""COCO-style ground truth → samples: one (image, phrase) each, the union of that phrase's annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ldznet_cli.errors import UsageError
from ldznet_cli.samples.coco_file import CocoAnnotation, CocoFile, CocoImage, read_coco
from ldznet_cli.samples.fields import Id
from ldznet_cli.samples.labels import Label
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.sample import Sample
from ldznet_cli.samples.segmentation import Segmentation


@dataclass(frozen=True)
class SampleSet:
    """The samples of one file, image after image in the file's order, phrases as they first occur.

    `digest` is the SHA-256 of the file's bytes, `groups_digest` of the groups'. `images` are all of the file's, also
    those without a sample. `crowd_regions` counts the ignored annotations; `crowd_only` are the phrases of an image
    that are annotated by nothing else, and so make no sample: nobody can say which pixels are right. `categories` are
    the phrases of each category id.
    """

    samples: tuple[Sample, ...]
    path: Path
    digest: str
    images: tuple[ImageRef, ...]
    annotations: int
    crowd_regions: int = 0
    crowd_only: Mapping[ImageRef, tuple[str, ...]] = field(default_factory=dict)
    per_annotation: bool = False
    groups_digest: str | None = None
    categories: Mapping[Id, tuple[str, ...]] = field(default_factory=dict)

    def by_image(self) -> dict[ImageRef, tuple[Sample, ...]]:
        """The samples of each image that has any, in order."""
        found: dict[ImageRef, list[Sample]] = {}
        for sample in self.samples:
            found.setdefault(sample.image, []).append(sample)
        return {image: tuple(samples) for image, samples in found.items()}


def load_coco(
    gt: str | Path,
    *,
    images: str | Path | None = None,
    groups: str | Path | None = None,
    per_annotation: bool = False,
) -> SampleSet:
    """Read a COCO-style file as samples.

    An annotation's phrase is its `caption`, `phrase`, `sentence` or `prompt`, else its category's `prompt`, else
    the category's `name`; categories with one and the same phrase are one sample. `groups` is a JSON file
    {phrase: [category ids]} whose groups replace their categories (a category may be in several). `file_name`s
    begin at `images`, by default `images/` beside the file if it exists, else the file's folder, and may not leave
    it. `iscrowd` and `ignore` annotations are regions that do not count for their phrase (for every phrase of the
    image when they have none). An annotation with an empty `segmentation` says that its phrase is absent.
    Annotations of one phrase with different `sample_id`s are different samples, and those with one `sample_id` are one
    sample: data sets in which the same words are said of different things tell them apart by it (docs/data.md).
    `per_annotation` makes a sample of each annotation.

    Masks are checked here and drawn later. Raises UsageError for a missing file or folder, AnnotationError for
    anything wrong inside, in one line.
    """
    path, folder = Path(gt), image_folder(Path(gt), images)
    file = read_coco(path, folder, None if groups is None else Path(groups))
    drafts = _drafts(file)
    real = [draft for draft in drafts if draft.annotations]
    return SampleSet(
        samples=tuple(sample for draft in real for sample in _samples(draft, per_annotation)),
        path=path,
        digest=file.digest,
        images=tuple(image.ref for image in file.images.values()),
        annotations=len(file.annotations),
        crowd_regions=sum(annotation.ignored for annotation in file.annotations),
        crowd_only=_crowd_only(drafts),
        per_annotation=per_annotation,
        groups_digest=file.groups_digest,
        categories={key: tuple(label.phrase for label in labels) for key, labels in file.labels.items()},
    )


def image_folder(gt: Path, images: str | Path | None = None) -> Path:
    """Where the file's images lie. Raises UsageError when `images` is given and is no folder."""
    if images is not None:
        if not Path(images).is_dir():
            raise UsageError(f"{images}: no such folder: expected the images of {gt}")
        return Path(images)
    beside = gt.parent / "images"
    return beside if beside.is_dir() else gt.parent


@dataclass
class _Draft:
    """What has been found so far about one (image, phrase)."""

    image: CocoImage
    phrase: str
    key: Id | None = None
    labels: list[Label] = field(default_factory=list)
    annotations: list[CocoAnnotation] = field(default_factory=list)
    ignored: list[Segmentation] = field(default_factory=list)


_Drafts = dict[tuple[str, Id | None], _Draft]
"""Of one image, by phrase and `sample_id`."""


def _drafts(file: CocoFile) -> list[_Draft]:
    found: dict[Id, _Drafts] = {key: {} for key in file.images}
    for annotation in file.annotations:
        drafts, image = found[annotation.image_id], file.images[annotation.image_id]
        for label in annotation.labels:
            key = label.phrase, annotation.sample
            draft = drafts.setdefault(key, _Draft(image, *key))
            draft.labels.append(label)
            if annotation.ignored:
                draft.ignored.append(annotation.segmentation)
            else:
                draft.annotations.append(annotation)
    _ignore_all_of_a_phrase(found)
    _ignore_everywhere(file.annotations, found)
    return [draft for drafts in found.values() for draft in drafts.values()]


def _crowd_only(drafts: Iterable[_Draft]) -> dict[ImageRef, tuple[str, ...]]:
    found: dict[ImageRef, tuple[str, ...]] = {}
    for draft in drafts:
        if not draft.annotations:
            found[draft.image.ref] = (*found.get(draft.image.ref, ()), draft.phrase)
    return found


def _ignore_all_of_a_phrase(found: dict[Id, _Drafts]) -> None:
    """Ignored regions of a phrase that are of no sample in particular concern all of its samples."""
    for drafts in found.values():
        for (phrase, key), draft in list(drafts.items()):
            if key is not None or not draft.ignored:
                continue
            others = [other for other in drafts.values() if other.phrase == phrase and other is not draft]
            for other in others:
                other.ignored += draft.ignored
            if others and not draft.annotations:
                del drafts[phrase, key]


def _ignore_everywhere(annotations: Iterable[CocoAnnotation], found: dict[Id, _Drafts]) -> None:
    """Ignored regions without a phrase concern every phrase of their image."""
    for annotation in annotations:
        if not annotation.labels:
            for draft in found[annotation.image_id].values():
                draft.ignored.append(annotation.segmentation)


def _samples(draft: _Draft, per_annotation: bool) -> list[Sample]:
    base = f"{draft.image.id}/{draft.phrase}" + ("" if draft.key is None else f"/{draft.key}")
    if per_annotation:
        return [_sample(draft, f"{base}/{one.id}", [one]) for one in draft.annotations]
    return [_sample(draft, base, draft.annotations)]


def _sample(draft: _Draft, key: str, annotations: list[CocoAnnotation]) -> Sample:
    categories = {label.category for label in draft.labels}
    kinds = {label.kind for label in draft.labels}
    return Sample(
        id=key,
        image=draft.image.ref,
        image_id=draft.image.id,
        width=draft.image.width,
        height=draft.image.height,
        phrase=draft.phrase,
        category=categories.pop() if len(categories) == 1 else None,
        kind=kinds.pop() if len(kinds) == 1 else None,
        style=draft.image.style,
        segmentations=tuple(annotation.segmentation for annotation in annotations),
        ignored=tuple(draft.ignored),
    )
