"""Options that several verbs share, declared once: the same name, the same meaning, the same help.

Where the words are the same, `ldznet init` writes the option once, for all verbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from ldznet_cli.cli import console
from ldznet_cli.errors import UsageError

Ldm = Annotated[
    str,
    typer.Option(
        "--ldm",
        metavar="NAME",
        help="The frozen latent diffusion model: 'miniature', a diffusers folder, or a hub id.",
    ),
]
Vae = Annotated[
    str | None,
    typer.Option("--vae", metavar="NAME", help="Another first stage for the LDM: a folder or a hub id."),
]
GeometryKind = Annotated[
    Literal["aligned", "square", "official"],
    typer.Option(
        "--geometry",
        help="How an image becomes the LDM's input: in its proportion, squashed, or as the authors' code does.",
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        min=64,
        help="The side in pixels of a square image's input; by default what the LDM was made for, at most 384.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="RUN",
        help="A folder that `ldznet train` or `ldznet weights import` wrote; by default the bundled miniature.",
    ),
]
CACHE_HELP = "The folder of cached features, or a URL as s3://bucket/features."
Cache = Annotated[str | None, typer.Option("--cache", metavar="DIR", help=CACHE_HELP)]
Gt = Annotated[
    Path | None,
    typer.Option("--gt", metavar="JSON", help="COCO-style annotations: the phrases and their true masks."),
]
Sources = Annotated[
    list[Path] | None,
    typer.Argument(metavar="IMAGES", help="Image files and folders of images.", show_default=False),
]
Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="The folder of --gt's images; by default 'images' beside --gt, else --gt's own.",
    ),
]
Groups = Annotated[
    Path | None,
    typer.Option(
        "--groups",
        metavar="JSON",
        help="A file {phrase: [category ids]}: several categories of --gt joined into one phrase.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="NAME", help="'auto' (CUDA where there is one), 'cpu', 'cuda', 'cuda:1' or 'mps'."
    ),
]
Dtype = Annotated[
    Literal["float32", "float16", "bfloat16"],
    typer.Option("--dtype", help="The arithmetic of the networks."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="What every random draw is derived from.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use only what is on this machine; ask no hub.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON on standard output.")]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Say nothing on standard error but errors.", callback=console.set_quiet
    ),
]

Crop = Annotated[
    float | None,
    typer.Option(
        "--crop",
        help="Look at squares whose side is at least this share of the image's shorter one; 1 in the paper.",
    ),
]
Flip = Annotated[
    bool, typer.Option("--flip", help='Mirror half of what is looked at, and "left" with "right" in phrases.')
]


def image_folder(sources: Sequence[Path], images: Path | None, annotations: str) -> Path | None:
    """The one folder of the images of `annotations`, an option's name. Raises UsageError where more are named."""
    if not sources:
        return images
    if images is not None or len(sources) > 1:
        raise UsageError(
            f"with {annotations} there is one folder of images: name it once, by --images or as the argument"
        )
    return sources[0]
