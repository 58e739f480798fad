"""`ldznet segment`: masks for phrases, over images and folders of images."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ldznet_cli.cli import console, models, options
from ldznet_cli.cli.interrupt import stop_on_interrupt
from ldznet_cli.cli.segment_report import Report
from ldznet_cli.cli.segment_tasks import tasks_of
from ldznet_cli.config import OUT_FOLDER
from ldznet_cli.errors import UsageError

if TYPE_CHECKING:
    from ldznet_cli.inference import Predictor

CLIPSEG = "CIDAS/clipseg-rd64-refined"


def segment(
    sources: options.Sources = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="PHRASE",
            help='What to look for; may be repeated. "lamp=light" looks for a lamp and calls its mask "light".',
        ),
    ] = None,
    prompts_from: Annotated[
        Path | None,
        typer.Option(
            "--prompts-from",
            metavar="JSON",
            help="COCO-style annotations: each of their images is asked for its own phrases.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="The folder of --prompts-from's images; by default 'images' beside it, else its own.",
        ),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            "--groups",
            metavar="JSON",
            help="Names that join several categories of --prompts-from into one phrase.",
        ),
    ] = None,
    model: options.Model = None,
    predictor: Annotated[
        Literal["net", "clipseg", "category-mean"],
        typer.Option(
            "--predictor",
            help="What answers: one of our nets (--model), CLIPSeg (--clipseg), or the mean mask that a phrase has in "
            "--fit: the floor for any table.",
        ),
    ] = "net",
    clipseg: Annotated[
        str, typer.Option("--clipseg", metavar="NAME", help="Which CLIPSeg: a hub id or a folder.")
    ] = CLIPSEG,
    fit: Annotated[
        Path | None,
        typer.Option(
            "--fit", metavar="JSON", help="The training annotations that category-mean is fitted on."
        ),
    ] = None,
    ldm: Annotated[
        str | None,
        typer.Option(
            "--ldm",
            metavar="NAME",
            help="The latent diffusion model of --model: 'miniature', a diffusers folder or a hub id; by default the "
            "one that --model names.",
        ),
    ] = None,
    vae: options.Vae = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help=f"The folder for masks; by default {OUT_FOLDER}."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            min=0.0,
            max=1.0,
            help="The mask is where the probability is greater; by default what the net's validation chose, 0.3 for "
            "CLIPSeg.",
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option("--draws", min=1, help="Noise draws of LD-ZNet whose logits are averaged.")
    ] = 1,
    seed: options.Seed = 0,
    template: Annotated[
        str, typer.Option("--template", help="The prompt around a phrase, for our nets; {} is the phrase.")
    ] = "a photo of a {}.",
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", min=1, help="Phrases of one image that go through at once; 1 on a CPU, 8 elsewhere."
        ),
    ] = None,
    no_overlay: Annotated[
        bool, typer.Option("--no-overlay", help="Leave out the pictures for the eye.")
    ] = False,
    rle: Annotated[
        bool, typer.Option("--rle", help="Put each mask into its record, too, in COCO's run-length encoding.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make anew what is there with the same settings.")
    ] = False,
    dtype: options.Dtype = "float32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    as_json: options.Json = False,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl", help="Print the records on standard output, as in a pipe, on a terminal too."
        ),
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Make masks of what phrases name, in images and folders of images.

    For each image and phrase there is a mask of the image's size (OUT/IMAGE/PHRASE.png), the probabilities
    (.prob.png), an overlay for the eye (.overlay.jpg), and a record, a line of JSON: in OUT/records.jsonl, and on
    standard output when that is a pipe. What is there already with the same settings is not made again, so that an
    interrupted run goes on by the same command.

    The score in a record says whether the phrase is there at all. A net that was trained without absent phrases
    (`ldznet train --negatives 0`, and the authors' own) knows little about that.

    \b
    Examples:
      ldznet segment scene.png --prompt "red lamp"
      ldznet segment ./images --prompt lamp --prompt "night sky=sky" --out masks
      ldznet segment ./photos --prompt dog --predictor clipseg
      ldznet segment ./images --prompt lamp --model runs/ldznet --draws 4
      ldznet segment --prompts-from gt.json | ldznet evaluate --gt gt.json
      ldznet segment --prompts-from gt.json --predictor category-mean --fit train.json | ldznet evaluate --gt gt.json
      ldznet segment ./images --prompt lamp | jq -r 'select(.score > 0.5) | .mask'
    """
    from ldznet_cli.inference import OutputPlan, open_ledger
    from ldznet_cli.inference import segment as run
    from ldznet_cli.reporting.overlay import overlay

    place = out or OUT_FOLDER
    tasks = tasks_of(sources or [], prompt or [], prompts_from, images, groups, place)
    plan = OutputPlan(place, None if no_overlay else overlay, rle)
    plan.check(tasks)
    where = models.resolve_device(device)
    rows = batch or (1 if where == "cpu" else 8)
    if predictor == "clipseg":
        answering: Predictor = _clipseg(clipseg, where, dtype, rows, offline)
    elif predictor == "category-mean":
        answering = _category_mean(fit)
    else:
        answering = _net(model, ldm, vae, where, dtype, rows, offline, draws, template, seed)
    ledger = open_ledger(answering, plan, threshold, overwrite=overwrite)
    report = Report(tasks, ledger, as_json=as_json, jsonl=jsonl)
    report.begin(told=out is not None)
    with (
        stop_on_interrupt() as stop,
        console.progress(report.total, "masks") as shown,
        closing(run(tasks, answering, ledger, stop=stop)) as records,
    ):
        for record in records:
            report.add(record, shown)
    report.end()


def _clipseg(name: str, device: str, dtype: str, batch: int, offline: bool) -> Predictor:
    import torch

    from ldznet_cli.inference import ClipSegPredictor

    return ClipSegPredictor(name, device=device, dtype=getattr(torch, dtype), batch=batch, offline=offline)


def _category_mean(fit: Path | None) -> Predictor:
    if fit is None:
        raise UsageError(
            "--predictor category-mean needs --fit: the annotations whose masks it takes the mean of"
        )
    from ldznet_cli.inference.category_mean import CategoryMeanPredictor
    from ldznet_cli.samples.coco import load_coco

    return CategoryMeanPredictor(load_coco(fit))


def _net(
    model: str | None,
    ldm: str | None,
    vae: str | None,
    device: str,
    dtype: str,
    batch: int,
    offline: bool,
    draws: int,
    template: str,
    seed: int,
) -> Predictor:
    import torch

    from ldznet_cli.inference import load_predictor

    folder, _ = models.resolve_model(model)
    return load_predictor(
        folder,
        None if ldm is None else models.resolve_ldm(ldm),
        vae=vae,
        device=device,
        dtype=getattr(torch, dtype),
        offline=offline,
        draws=draws,
        template=template,
        seed=seed,
        batch=batch,
    )
