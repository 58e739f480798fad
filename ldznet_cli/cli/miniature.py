"""`ldznet miniature …`: render the bundled world's scenes, rebuild its weights, show their model card; the study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ldznet_cli.cli import console
from ldznet_cli.cli.building import show
from ldznet_cli.cli.interrupt import stop_on_interrupt
from ldznet_cli.cli.miniature_paper import paper
from ldznet_cli.cli.options import Quiet, Seed
from ldznet_cli.errors import WeightsUnavailable
from ldznet_cli.miniature.events import STAGES, Stage

CARD = "MODEL_CARD.md"

app = console.group("miniature", "The bundled miniature world: its scenes, its weights, its model card.")


@app.command()
def render(
    style: Annotated[
        Literal["photo", "cartoon", "sketch"],
        typer.Option("--style", help="Shaded and textured, flat with outlines, or pale and hatched."),
    ] = "photo",
    count: Annotated[int, typer.Option("--count", min=1, help="How many scenes.")] = 100,
    seed: Seed = 0,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder for images/ and annotations.json.")
    ] = Path("scenes"),
    absent: Annotated[
        int, typer.Option("--absent", min=0, help="Phrases for each scene that name nothing in it.")
    ] = 0,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that draw at the same time.")
    ] = 1,
    quiet: Quiet = False,
) -> None:
    """Draw scenes of 128x128 pixels, with the exact mask of every phrase.

    The same style, seed and count give the same files; sets of different seeds share no scene.

    \b
    Examples:
      ldznet miniature render --style photo --count 1000 --seed 7 --out scenes
      ldznet miniature render --style sketch --count 24 --out sketches
    """
    from ldznet_cli.miniature.scenes import write_dataset

    with console.progress(count, "scenes") as shown:
        for _ in write_dataset(out, style, count, seed, absent=absent, workers=workers):
            shown.advance()
    console.say(f"{count} scenes in {out / 'images'}, their phrases and masks in {out / 'annotations.json'}")


@app.command("sample-data")
def sample_data(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")] = Path(
        "sample_data"
    ),
    quiet: Quiet = False,
) -> None:
    """Draw the repository's own sample_data again, byte for byte.

    \b
    Examples:
      ldznet miniature sample-data --out sample_data
    """
    from ldznet_cli.miniature.sample_data import write_sample_data

    scenes = write_sample_data(out)
    console.say(f"{len(scenes)} scenes in {out}")


@app.command()
def untrained(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")] = Path(
        "untrained-ldm"
    ),
    vae: Annotated[
        Path | None,
        typer.Option("--vae", metavar="DIR", help="An AutoencoderTiny to take as first stage, as TAESD."),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            "--vocabulary", metavar="GZ", help="CLIP's bpe_simple_vocab_16e6.txt.gz; else bytes alone."
        ),
    ] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Make an LDM folder of the miniature's shape with random weights.

    For training `rgbnet` and `znet` on real pictures with --ldm DIR --init random: z comes from the first stage, and
    each prompt gets a code without a meaning, so that the net can only know prompts it saw in training.

    \b
    Examples:
      ldznet miniature untrained --vae taesd --vocabulary bpe_simple_vocab_16e6.txt.gz --out untrained-ldm
    """
    from ldznet_cli.miniature.untrained import untrained_ldm

    console.say(f"an untrained LDM is in {untrained_ldm(out, vae=vae, vocabulary=vocabulary, seed=seed)}")


@app.command()
def build(
    work: Annotated[
        Path, typer.Option("--work", metavar="DIR", help="The folder for scenes, latents and checkpoints.")
    ] = Path("miniature-work"),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="The folder for the weights; by default the package's own."
        ),
    ] = None,
    recipe: Annotated[
        Literal["official", "tiny"],
        typer.Option("--recipe", help="The bundled weights', or one that takes seconds and knows nothing."),
    ] = "official",
    until: Annotated[Stage, typer.Option("--until", help="The last stage to do.")] = "card",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that draw scenes.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Rebuild the bundled weights from their recipe: hours on two cores.

    Scenes, tokenizer, autoencoder, latents, latent diffusion model, the autoencoder's decoder, segmentation nets,
    scores, model card. A stage whose output is there is skipped. Stop it at any time with Ctrl-C: the same command
    goes on from where it was.

    \b
    Examples:
      ldznet miniature build --work miniature-work --workers 2
      ldznet miniature build --until ldm
      ldznet miniature build --recipe tiny --work /tmp/work --out /tmp/weights
    """
    from ldznet_cli.miniature import recipe as recipes
    from ldznet_cli.miniature.build import build as run
    from ldznet_cli.miniature.bundle import weights_folder

    chosen = recipes.tiny() if recipe == "tiny" else recipes.official()
    place = out or weights_folder()
    with stop_on_interrupt() as stop:
        show(run(work, place, chosen, workers=workers, until=until, stop=stop))
    if until == STAGES[-1]:
        console.say(f"the miniature world is in {place}, its model card in {place / CARD}")
    else:
        console.say(f"done up to {until}; the same command without --until does the rest")


app.command()(paper)


@app.command()
def card() -> None:
    """Print the model card of the bundled weights: settings, seeds, times, scores.

    \b
    Examples:
      ldznet miniature card
      ldznet miniature card | less
    """
    from ldznet_cli.miniature.bundle import weights_folder

    path = weights_folder() / CARD
    if not path.is_file():
        raise WeightsUnavailable(f"no model card in {path.parent}: reinstall, or run `make miniature`")
    console.emit(path.read_text(encoding="utf-8").rstrip())
