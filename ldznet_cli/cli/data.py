"""`ldznet data …`: data sets of others become the one annotation format that every verb reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ldznet_cli.cli import console, options
from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.samples.phrase_regions import Converted, PhraseRegion, PhraseRegions

app = console.group("data", "Annotations of public data sets, in the one format that all verbs read.")


@app.command()
def convert(
    dataset: Annotated[
        Literal["phrasecut", "refcoco"],
        typer.Argument(
            help="phrasecut, or refcoco for RefCOCO, RefCOCO+ and RefCOCOg (G-Ref).", show_default=False
        ),
    ],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The data set's folder, laid out as its authors give it.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="JSON", help="Where the COCO-style file is written.")
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="train, val, test, testA, testB, miniv …: may be repeated; by default all that there are.",
        ),
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option(
            "--split-by",
            metavar="WHO",
            help="refcoco: whose refs(WHO).p, of unc, umd and google; by default the first that is there.",
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the annotations of PhraseCut or RefCOCO as one COCO-style file.

    Every sample of the data set stays a sample: a task of PhraseCut, a sentence of RefCOCO, also where the same words
    are said twice of one image. The 17 images of PhraseCut whose annotated size is wrong are left out, and their
    phrases do not count. Images are not touched.

    \b
    Examples:
      ldznet data convert phrasecut VGPhraseCut_v0 --split test --out VGPhraseCut_v0/test.json
      ldznet data convert refcoco data/refcoco --split val --out refcoco-val.json
      ldznet data convert refcoco data/refcocog --split-by umd --split test --out gref-test.json
      ldznet segment --prompts-from refcoco-val.json --images train2014 --out masks
      ldznet evaluate --gt refcoco-val.json --images train2014 --pred masks --protocol refcoco
    """
    if out is None:
        raise UsageError("no place for the result: name it with --out gt.json")
    source = _source(dataset, folder, split or (), split_by)
    if any(out.exists() and out.samefile(path) for path in source.files):
        raise UsageError(
            f"--out {out} is a file of the data set, which is read: give the result another name"
        )
    from ldznet_cli.samples.phrase_regions import write_coco

    done = write_coco(out, _counted(source), source.description, source.left_out)
    _summary(source, done, out)


def _source(dataset: str, folder: Path, splits: list[str] | tuple[()], split_by: str | None) -> PhraseRegions:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder: expected the data set as its authors give it")
    if dataset == "refcoco":
        from ldznet_cli.samples.refcoco import RefCoco

        return RefCoco(folder, splits, split_by)
    if split_by is not None:
        raise UsageError("--split-by belongs to refcoco: PhraseCut is split in one way only")
    from ldznet_cli.samples.phrasecut import PhraseCut

    return PhraseCut(folder, splits)


def _counted(regions: PhraseRegions) -> Iterator[PhraseRegion]:
    with console.progress(None, "phrases") as progress:
        for region in regions:
            progress.advance()
            yield region


def _summary(source: PhraseRegions, done: Converted, out: Path) -> None:
    splits = ", ".join(f"{count} {name}" for name, count in done.splits.items())
    console.say(
        f"ldznet: {out}: {done.samples} phrases ({splits}) about {len(done.images)} images, "
        f"{done.annotations} annotations, {len(done.categories)} categories; from {source.description}"
    )
    for reason, count in source.left_out.items():
        console.say(f"ldznet: left out: {count} {reason}")
    if done.without_region:
        console.warn(f"{done.without_region} phrases have no region: they count, with an empty mask")
