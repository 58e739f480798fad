"""`ldznet gallery`: one HTML file to look through what `ldznet segment` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ldznet_cli.cli import console, options
from ldznet_cli.config import OUT_FOLDER
from ldznet_cli.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from ldznet_cli.reporting.gallery import Exhibit
    from ldznet_cli.samples.coco import SampleSet

PAGE = "gallery.html"


def gallery(
    folder: Annotated[
        Path, typer.Argument(metavar="OUT", help="A folder that `ldznet segment` wrote.")
    ] = OUT_FOLDER,
    gt: options.Gt = None,
    images: options.Images = None,
    groups: options.Groups = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", min=1, help="Masks on the page at most: the first ones, with --gt the worst ones."
        ),
    ] = 500,
    thumbnail: Annotated[
        int, typer.Option("--thumbnail", min=32, max=2048, help="Pixels of a picture's longer side.")
    ] = 320,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help=f"Where the page is written; by default {PAGE} in OUT."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write one self-contained HTML page with the masks of a run: no network, it opens from disk.

    Masks lie over their pictures while the pointer is on them. A slider makes them anew from the stored probabilities
    at another threshold; names, phrases and scores can be searched and sorted. With --gt each mask has its IoU, the
    worst stand first, and it can be compared with the truth.

    \b
    Examples:
      ldznet gallery masks
      ldznet gallery masks --gt annotations.json --limit 100 --out worst.html
    """
    if gt is None and (images is not None or groups is not None):
        raise UsageError("--images and --groups belong to --gt: give that too")
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder: expected one that `ldznet segment` wrote")
    from ldznet_cli.inference.outputs import RECORDS
    from ldznet_cli.reporting.gallery import gallery as page
    from ldznet_cli.reporting.gallery import worst
    from ldznet_cli.samples.atomic import write_text
    from ldznet_cli.samples.coco import load_coco

    samples = None if gt is None else load_coco(gt, images=images, groups=groups)
    seen: Counter[str] = Counter()
    kept = worst(_exhibits(folder, samples, seen), limit)
    if not kept:
        raise NothingToDo(f"{folder / RECORDS}: no records: expected what `ldznet segment` writes")
    path = out or folder / PAGE
    about = f"{len(kept)} of {seen['masks']} masks of {folder}" + (f", against {gt}" if gt else "")
    shown = _with_truth(kept, samples)
    content = page(shown, folder, title=f"Gallery: {folder.resolve().name}", about=about, thumbnail=thumbnail)
    write_text(path, content)
    console.say(f"ldznet: {path}: {about}, {len(content) / 2**20:.1f} MB; open it in a browser")
    if samples is not None and not seen["compared"]:
        console.warn(f"{gt} knows none of these images and phrases: nothing is compared")


def _exhibits(folder: Path, samples: SampleSet | None, seen: Counter[str]) -> Iterator[Exhibit]:
    """The folder's records, with their IoU where there is a ground truth; `seen` counts them."""
    from ldznet_cli.inference.outputs import RECORDS
    from ldznet_cli.inference.record_file import latest_records
    from ldznet_cli.reporting.gallery import Exhibit
    from ldznet_cli.reporting.gallery_truth import compared

    records = latest_records(folder / RECORDS)
    with console.progress(None, "masks") as progress:
        for exhibit in map(Exhibit, records) if samples is None else compared(records, folder, samples):
            seen.update(masks=1, compared=exhibit.iou is not None)
            yield exhibit
            progress.advance()


def _with_truth(exhibits: Sequence[Exhibit], samples: SampleSet | None) -> Iterator[Exhibit]:
    from ldznet_cli.reporting.gallery_truth import with_truth

    shown = exhibits if samples is None else with_truth(exhibits, samples)
    with console.progress(len(exhibits), "masks") as progress:
        for exhibit in shown:
            yield exhibit
            progress.advance()
