"""`ldznet segment`: masks for phrases, over images and folders of images."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ldznet_cli.cli import console, engine_options, options, predictors
from ldznet_cli.cli import segment_options as asks
from ldznet_cli.cli.interrupt import stop_on_interrupt
from ldznet_cli.cli.segment_formats import formats_of, plan_of
from ldznet_cli.cli.segment_plan import show_plan
from ldznet_cli.cli.segment_report import Report
from ldznet_cli.cli.segment_tasks import Asked, tasks_of
from ldznet_cli.config import CLIPSEG, MASK_NAME, OUT_FOLDER, TEMPLATES
from ldznet_cli.errors import UsageError


def segment(
    sources: asks.Sources = None,
    prompt: asks.Prompts = None,
    prompts: asks.PromptsFile = None,
    negative: asks.Negative = None,
    prompts_from: asks.PromptsFrom = None,
    images: asks.PromptImages = None,
    groups: asks.PromptGroups = None,
    no_recursive: asks.NoRecursive = False,
    exclude: asks.Exclude = None,
    null: asks.Null = False,
    every: asks.Every = 1,
    fps: asks.Fps = None,
    smooth: asks.Smooth = 1,
    model: options.Model = None,
    predictor: Annotated[
        predictors.Kind,
        typer.Option(
            "--predictor",
            help="What answers: one of our nets (--model), CLIPSeg (--clipseg), the change that a phrase makes to the "
            "noise that --ldm predicts, without any training, or the mean mask that a phrase has in --fit: the floor "
            "for any table.",
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
            help="The latent diffusion model: 'miniature', a diffusers folder or a hub id; by default the one that "
            "--model names, for noise-difference the miniature.",
        ),
    ] = None,
    vae: options.Vae = None,
    draws: asks.Draws = None,
    seed: options.Seed = 0,
    template: asks.Template = TEMPLATES[0],
    batch: asks.Batch = None,
    threshold: asks.Threshold = None,
    min_score: asks.MinScore = None,
    fill_holes: asks.FillHoles = False,
    min_area: asks.MinArea = 0,
    pad: asks.Pad = 0,
    invert: asks.Invert = False,
    feather: asks.Feather = 0,
    out: asks.Out = None,
    formats: asks.Formats = None,
    name: asks.Name = MASK_NAME,
    no_overlay: asks.NoOverlay = False,
    rle: asks.Rle = False,
    overwrite: asks.Overwrite = False,
    retry_failed: asks.RetryFailed = False,
    max_errors: asks.MaxErrors = None,
    dry_run: asks.DryRun = False,
    dtype: options.Dtype = "float32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    engine: engine_options.Kind = "local",
    address: engine_options.Address = None,
    workers: engine_options.Workers = None,
    gpus_per_worker: engine_options.GpusPerWorker = None,
    threads_per_worker: engine_options.ThreadsPerWorker = None,
    as_json: options.Json = False,
    jsonl: asks.Jsonl = False,
    quiet: options.Quiet = False,
) -> None:
    """Make masks of what phrases name, in images and folders of images.

    For each image and phrase there is a mask of the image's size (OUT/IMAGE/PHRASE.png), the probabilities
    (.prob.png), an overlay for the eye (.overlay.jpg), and a record, a line of JSON: in OUT/records.jsonl, and on
    standard output when that is a pipe. --format writes others: cut-outs, label maps, COCO results, polygons. What is
    there already with the same settings is not made again, so that an interrupted run goes on by the same command.
    Of a video (with 'ldznet-cli[video]') each frame is an image of its own; --format video makes a video again.

    The score in a record says whether the phrase is there at all. A net that was trained without absent phrases
    (`ldznet train --negatives 0`, and the authors' own) knows little about that.

    \b
    Examples:
      ldznet segment scene.png --prompt "red lamp"
      ldznet segment ./images --prompt lamp --prompt "night sky=sky" --out masks
      ldznet segment ./photos --prompt dog --predictor clipseg
      ldznet segment ./photos --prompt "dog|puppy" --negative cat --format mask,cutout --min-score 0.5
      ldznet segment room.jpg --prompt lamp --fill-holes --pad 8 --format mask
      find . -name '*.png' -print0 | ldznet segment -0 - --prompts phrases.txt --format coco,yolo
      ldznet segment clip.mp4 --prompt dog --fps 5 --smooth 5 --format mask,video
      ldznet segment ./images --prompt lamp --model runs/ldznet --draws 4
      ldznet segment --prompts-from gt.json | ldznet evaluate --gt gt.json
      ldznet segment ./images --prompt lamp --predictor noise-difference --ldm CompVis/stable-diffusion-v1-4
      ldznet segment --prompts-from gt.json --predictor category-mean --fit train.json | ldznet evaluate --gt gt.json
      ldznet segment ./images --prompt lamp --engine ray --address auto --out masks
      ldznet segment ./images --prompt lamp | jq -r 'select(.score > 0.5) | .mask'
    """
    placed = engine_options.engine_of(
        engine, address, workers, gpus_per_worker, None, threads_per_worker, chunk=1
    )
    from ldznet_cli.inference import Finish, open_ledger
    from ldznet_cli.inference import segment as run
    from ldznet_cli.samples.shaping import Shaping

    place = out or OUT_FOLDER
    asked = Asked(
        sources=sources or (),
        recursive=not no_recursive,
        exclude=exclude or (),
        nul=null,
        prompts=prompt or (),
        prompts_file=prompts,
        negatives=negative or (),
        prompts_from=prompts_from,
        images=images,
        groups=groups,
        every=every,
        fps=fps,
        smooth=smooth,
        formats=formats_of(formats or (), no_overlay=no_overlay),
    )
    if dry_run and retry_failed:
        raise UsageError("--dry-run does not look at what has failed: leave out --retry-failed")
    tasks = tasks_of(asked, place)
    plan = plan_of(place, asked, tasks, name, rle)
    plan.check(tasks)
    if dry_run:
        show_plan(tasks, plan, as_json=as_json)
        return
    ask = predictors.Ask(
        kind=predictor,
        model=model,
        clipseg=clipseg,
        fit=fit,
        ldm=ldm,
        vae=vae,
        draws=draws,
        seed=seed,
        template=template,
        batch=batch,
        dtype=dtype,
        device=device,
        offline=offline,
    )
    # Workers have predictors of their own; the one here only says what records tell of it.
    answering = predictors.load(ask if engine == "local" else replace(ask, device="cpu"))
    job = None if engine == "local" else predictors.job_of(ask, threads_per_worker or 1, answering.identity)
    finish = Finish(
        answering.threshold if threshold is None else threshold,
        min_score,
        Shaping(fill_holes, min_area, pad, invert, feather),
    )
    ledger = open_ledger(
        answering,
        plan,
        finish=finish,
        tasks=tasks,
        smooth=smooth,
        overwrite=overwrite,
        retry_failed=retry_failed,
        tell=console.warn,
    )
    report = Report(tasks, ledger, as_json=as_json, jsonl=jsonl, max_errors=max_errors)
    report.begin(told=out is not None)
    with (
        stop_on_interrupt() as stop,
        console.progress(report.total, "masks") as shown,
        closing(
            run(
                tasks,
                answering,
                ledger,
                smooth=smooth,
                stop=lambda: stop() or report.too_many(),
                engine=placed,
                job=job,
            )
        ) as records,
    ):
        for record in records:
            report.add(record, shown)
    report.end()
