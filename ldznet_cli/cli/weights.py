"""`ldznet weights …`: the authors' checkpoint, Stable Diffusion's, the hub's: into folders, shown, verified."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ldznet_cli.cli import console, models, options
from ldznet_cli.cli import weights_report as report
from ldznet_cli.config import CLIP
from ldznet_cli.errors import ModelError, WeightsUnavailable

if TYPE_CHECKING:
    from ldznet_cli.nets.import_net import NamedLdm

LICENCE = (
    "Stable Diffusion's weights are under the CreativeML OpenRAIL-M licence, its use restrictions included; what is "
    "made from them stays under it"
)

Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="The new folder to write.", show_default=False)
]
Checkpoint = Annotated[
    Path, typer.Argument(metavar="CKPT", help="A .ckpt or .safetensors file.", show_default=False)
]
Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="The folder of a net or of a latent diffusion model.", show_default=False
    ),
]

app = console.group("weights", "Models' weights: imported from checkpoints, fetched ahead, shown, verified.")


@app.command("import")
def import_(
    checkpoint: Checkpoint,
    out: Out,
    ema: Annotated[
        bool | None,
        typer.Option(
            "--ema/--raw",
            help="The averaged or the raw weights; by default the average where there is one, as in the authors' "
            "inference.",
            show_default=False,
        ),
    ] = None,
    ldm: Annotated[
        str | None,
        typer.Option(
            "--ldm",
            metavar="NAME",
            help="The latent diffusion model that the net was trained with, a diffusers folder or a hub id: the net "
            "then takes this one alone.",
        ),
    ] = None,
    offline: options.Offline = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a net folder, for `segment --model`, of the authors' checkpoint.

    Takes the segmentation net's keys out of a training checkpoint (LDZNet_txt2mask.ckpt), with or without the frozen
    parts beside them, or out of a bare state dict. Nothing in the file is run: it is read by PyTorch's restricted
    reader, classes of Lightning, OmegaConf, NumPy and the like become empty stand-ins, any other is refused.

    The folder remembers the authors' geometry (`official`, 384), timesteps from 300 to below 500, and the threshold
    0.5, for which `segment --threshold` stands in. With --ldm it names that model by hash; without, it names Stable
    Diffusion v1.4, and any model of its shape is taken.

    \b
    Examples:
      ldznet weights import LDZNet_txt2mask.ckpt --ldm sd-v1-4 --out ldznet-authors
      ldznet weights import LDZNet_txt2mask.ckpt --raw --out ldznet-raw
      ldznet segment photos --prompt "dog" --model ldznet-authors
    """
    from ldznet_cli.nets.import_net import import_net

    which: Literal["auto", "ema", "raw"] = "auto" if ema is None else "ema" if ema else "raw"
    done = import_net(checkpoint, out, which, ldm=_named_ldm(ldm, offline))
    report.say_imported(done, checkpoint, out)
    if as_json:
        console.emit(json.dumps(report.imported(done, out), sort_keys=True))


@app.command("import-ldm")
def import_ldm(
    checkpoint: Checkpoint,
    out: Out,
    ema: Annotated[
        bool,
        typer.Option(
            "--ema/--raw",
            help="The UNet's averaged or its raw weights; the authors of LD-ZNet used the raw ones.",
        ),
    ] = False,
    prediction: Annotated[
        Literal["epsilon", "v_prediction"] | None,
        typer.Option(
            "--prediction", help="What a Stable Diffusion 2.x predicts, which its file does not say."
        ),
    ] = None,
    tokenizer: Annotated[
        str,
        typer.Option(
            "--tokenizer",
            metavar="NAME",
            help="CLIP's vocabulary, which no checkpoint holds: a folder, bpe_simple_vocab_16e6.txt.gz, or a hub id.",
        ),
    ] = CLIP,
    offline: options.Offline = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a diffusers folder, for --ldm, of a single-file Stable Diffusion 1.x or 2.x.

    The authors of LD-ZNet took the raw weights of sd-v1-4-full-ema.ckpt, so these are the default. (In the smaller
    sd-v1-4.ckpt the average stands under the raw weights' names.) Of a checkpoint of LD-ZNet's own training the
    frozen model inside it is taken, if it is there. Configurations are read off the tensors, and only the tokenizer's
    2 MB come from the hub, once.

    The weights of Stable Diffusion are under the CreativeML OpenRAIL-M licence, which restricts their use and binds
    what is made from them.

    \b
    Examples:
      ldznet weights import-ldm sd-v1-4-full-ema.ckpt --out sd-v1-4
      ldznet weights import-ldm v2-1_768-nonema-pruned.ckpt --prediction v_prediction --out sd-2-1
      ldznet weights import-ldm sd-v1-4-full-ema.ckpt --tokenizer bpe_simple_vocab_16e6.txt.gz --out sd-v1-4
    """
    from ldznet_cli.ldm.import_ldm import import_ldm as run

    done = run(
        checkpoint, out, "ema" if ema else "raw", tokenizer=tokenizer, prediction=prediction, offline=offline
    )
    told = {"raw": "raw", "ema": "averaged", "frozen": "the frozen"}[done.chosen]
    counts = ", ".join(f"{name} {count:,}" for name, count in done.parameters.items())
    console.say(f"ldznet: {out} holds Stable Diffusion {done.version}, {told} weights; parameters: {counts}")
    for what, count in done.ignored.items():
        console.say(f"ignored: {report.keys(count)}: {what}")
    console.say(f"licence: {LICENCE}")
    if as_json:
        console.emit(json.dumps({"folder": str(out), **vars(done)}, sort_keys=True))


@app.command()
def show(folder: Folder, as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Print what a folder is: parameters, blocks, geometry, threshold, the hashes of the LDM.

    \b
    Examples:
      ldznet weights show ldznet-authors
      ldznet weights show sd-v1-4 --json | jq .digests
    """
    told = {"folder": str(folder), **_describe(folder)}
    if as_json:
        console.emit(json.dumps(told, sort_keys=True))
        return
    console.table("", ("", "value"), list(report.rows(told)))


@app.command()
def pull(
    hub_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="A model of the Hugging Face hub, owner/name.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="A plain folder for it, to take along; by default the hub's own cache.",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="NAME", help="A branch, tag or commit of the model.")
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="The UNet's raw weights (non_ema), as the authors of LD-ZNet used; needs --out."
        ),
    ] = False,
    offline: options.Offline = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fetch a model ahead of its use, and print the folder that it is in.

    Only what --ldm, --vae or --clipseg would need of it is fetched, and no pickles. Once it is there, every verb
    works with --offline, or with HF_HUB_OFFLINE=1.

    \b
    Examples:
      ldznet weights pull CompVis/stable-diffusion-v1-4 --raw --out sd-v1-4
      ldznet weights pull CIDAS/clipseg-rd64-refined
      ldznet weights verify "$(ldznet weights pull madebyollin/taesd)"
    """
    from ldznet_cli.ldm.pull import pull as run

    done = run(hub_id, out, revision=revision, raw=raw, offline=offline, bars=_bars(quiet))
    console.say(f"ldznet: {hub_id} at {done.commit[:12]}: {done.files} files, {done.size / 1e6:,.1f} MB")
    told = {"id": hub_id, "folder": str(done.folder), "revision": done.commit}
    told_more = {"files": done.files, "bytes": done.size}
    console.emit(json.dumps({**told, **told_more}, sort_keys=True) if as_json else str(done.folder))


@app.command()
def verify(folder: Folder, as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Compute the hashes of a folder's files anew, and hold them against those it recorded.

    \b
    Examples:
      ldznet weights verify ldznet-authors
      ldznet weights verify sd-v1-4 && ldznet segment photos --prompt dog --ldm sd-v1-4 --model ldznet-authors
    """
    _check_is_folder(folder)
    from ldznet_cli.ldm import record
    from ldznet_cli.nets import checkpoint
    from ldznet_cli.nets.description import is_net

    found = checkpoint.verify(folder) if is_net(folder) else record.verify(folder)
    console.say(f"ldznet: {folder}: {len(found)} file{'s' * (len(found) != 1)}, each as recorded")
    if as_json:
        console.emit(json.dumps(found, sort_keys=True))


def _named_ldm(name: str | None, offline: bool) -> NamedLdm | None:
    if name is None:
        return None
    from ldznet_cli.ldm import resolve
    from ldznet_cli.nets.import_net import NamedLdm

    source = models.resolve_ldm(name)
    folder = resolve(source, offline=offline)
    # A folder is known by its whole path, so that the net finds it from wherever it is used.
    return NamedLdm(str(folder.resolve()) if Path(name).is_dir() else name, folder)


def _describe(folder: Path) -> dict[str, Any]:
    _check_is_folder(folder)
    from ldznet_cli.ldm import description as ldm
    from ldznet_cli.nets import description as nets

    if not any((folder / name).exists() for name in ("config.json", "model_index.json", "vae")):
        raise ModelError(f"{folder}: neither a net's config.json in it nor a model_index.json of an LDM")
    return nets.describe(folder) if nets.is_net(folder) else ldm.describe(folder)


def _check_is_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise WeightsUnavailable(
            f"no folder {folder}; name the folder of a net or of a latent diffusion model"
        )


def _bars(quiet: bool) -> Any:
    """What the hub's client may draw with: it knows best how a download goes."""
    if quiet or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm
