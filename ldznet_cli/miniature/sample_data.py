"""`sample_data/`: the 24 scenes that the repository ships, and how to make them again byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ldznet_cli.miniature.scenes.dataset import (
    IMAGES,
    WrittenScene,
    coco,
    write_json,
    write_scene,
)
from ldznet_cli.miniature.scenes.scene import RENDERER_VERSION
from ldznet_cli.samples.atomic import write_atomically

SEED = 2023
"""The set's seed: the year of the paper. No training set of the recipe uses it."""

PER_STYLE = 8
MADE_WITH = {"pillow": "13.0.0", "numpy": "2.4.6"}
"""With other versions a few edge pixels may differ: Pillow's polygons and lines are not the same in all."""

_FILES = {"aigi.json": ("cartoon", "sketch"), "photos.json": ("photo",)}

README = f"""# Sample data

24 scenes of the miniature world, 128x128 pixels each: 8 in each of three styles.

| file | what it is |
|---|---|
| `images/` | the scenes, named by style, seed and index |
| `aigi.json` | COCO-style annotations of the 16 `cartoon` and `sketch` scenes: they play the AI-generated images |
| `photos.json` | the same for the 8 `photo` scenes: the style that the nets see in mask training |
| `SHA256SUMS` | checksums; `sha256sum -c SHA256SUMS` checks them |

Each annotation has a `phrase` ("lamp", "red lamp", "lamp on the left", "grass") and the exact mask of everything in
its image that the phrase names, as RLE.

## Provenance

Drawn by this repository from nothing but numbers (renderer version {RENDERER_VERSION}, seed {SEED}); no picture of
anyone else is in them. Made again, byte for byte (with {" and ".join(f"{k} {v}" for k, v in MADE_WITH.items())}), by

    python -c "from ldznet_cli.miniature.sample_data import write_sample_data; write_sample_data('sample_data')"

Licence: Apache-2.0, like the rest of the repository.
"""


def write_sample_data(folder: str | Path) -> list[WrittenScene]:
    """Writes the images, both annotation files, the README and the checksums (last) into `folder`.

    Raises LdznetError when the folder cannot be written to, DiskFull.
    """
    folder = Path(folder)
    scenes: list[WrittenScene] = []
    for name, styles in _FILES.items():
        some = [write_scene(folder / IMAGES, style, SEED, i) for style in styles for i in range(PER_STYLE)]
        info = {
            "description": "sample scenes of ldznet's miniature world",
            "renderer_version": RENDERER_VERSION,
        }
        write_json(folder / name, coco({**info, "styles": list(styles), "seed": SEED}, some))
        scenes += some
    write_atomically(folder / "README.md", README.encode())
    files = sorted([*(f"{IMAGES}/{scene.file_name}" for scene in scenes), *_FILES, "README.md"])
    sums = "".join(f"{hashlib.sha256((folder / f).read_bytes()).hexdigest()}  {f}\n" for f in files)
    write_atomically(folder / "SHA256SUMS", sums.encode())
    return scenes
