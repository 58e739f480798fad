"""From the arguments of `ldznet segment` to its tasks: which images, and what is asked of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ldznet_cli.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from ldznet_cli.inference import Task
    from ldznet_cli.samples.listing import ImageRef


def tasks_of(
    sources: Sequence[Path],
    prompts: Sequence[str],
    prompts_from: Path | None,
    images: Path | None,
    groups: Path | None,
    out: Path,
) -> list[Task]:
    """Every image with what it is asked for.

    Raises UsageError and PromptError for what makes no sense, NothingToDo when there is no image or no phrase,
    AnnotationError.
    """
    from ldznet_cli.inference import Task, prompts_of

    if prompts and prompts_from is not None:
        raise UsageError("--prompt and --prompts-from exclude each other: phrases come from one of them")
    if prompts_from is not None:
        return _annotated(prompts_from, _folder(sources, images), groups)
    if images is not None or groups is not None:
        raise UsageError(
            "--images and --groups belong to --prompts-from; without it, name the images themselves"
        )
    if not sources:
        raise UsageError("no images: name files or folders and --prompt, or annotations with --prompts-from")
    if not prompts:
        raise UsageError('no phrases: give --prompt "red lamp" (it may be repeated), or --prompts-from')
    asked = prompts_of(prompts)
    return [Task(image, asked) for image in _listed(sources, out)]


def _listed(sources: Sequence[Path], out: Path) -> list[ImageRef]:
    """The images of the sources, without what another run of ours has put among them.

    Raises UsageError for a source that is not there, NothingToDo when there is no image.
    """
    from ldznet_cli.inference.ledger import read_records
    from ldznet_cli.inference.outputs import RECORDS
    from ldznet_cli.samples.listing import list_images

    found = list_images(sources)
    records = read_records(out / RECORDS)
    results = {
        Path(path).resolve() for r in records for path in (r.mask, r.prob, r.overlay) if path is not None
    }
    below = out.resolve()
    inside = any(below in (source.resolve(), *source.resolve().parents) for source in sources)
    kept = [
        ref
        for ref in found
        if (path := ref.path.resolve()) not in results and (inside or below not in path.parents)
    ]
    if not kept:
        raise NothingToDo(
            f"the only images there are are the results in {out}: name another folder of images"
        )
    return kept


def _folder(sources: Sequence[Path], images: Path | None) -> Path | None:
    if not sources:
        return images
    if images is not None or len(sources) > 1:
        raise UsageError(
            "with --prompts-from there is one folder of images: name it once, by --images or as the argument"
        )
    return sources[0]


def _annotated(gt: Path, folder: Path | None, groups: Path | None) -> list[Task]:
    from ldznet_cli.inference import Task, prompts_of_phrases
    from ldznet_cli.samples.coco import load_coco

    by_image = load_coco(gt, images=folder, groups=groups).by_image()
    if not by_image:
        raise NothingToDo(f"{gt} has no annotation with a phrase")
    return [
        Task(image, prompts_of_phrases([sample.phrase for sample in samples]))
        for image, samples in by_image.items()
    ]
