"""labelme's JSON: a file an image that the annotation program opens, a polygon a connected part."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldznet_cli.inference.formats.seams import Scene

VERSION = "5.5.0"
"""Of the program whose files these are like."""


@dataclass(frozen=True)
class Labelme:
    """Names the image by its path from the file; parts of one label have one `group_id`. Holes are kept by a cut."""

    name: str = "labelme"
    folder: str = "labelme"
    suffix: str = ".json"
    outlined: bool = True

    def encode(self, scene: Scene, place: Path) -> bytes:
        content: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": _shapes(scene),
            "imagePath": _from(place.parent, scene.path),
            "imageData": None,
            "imageHeight": scene.height,
            "imageWidth": scene.width,
        }
        return (json.dumps(content, indent=1) + "\n").encode()  # ASCII: a file's name may be no UTF-8

    def beside(self) -> dict[str, bytes]:
        """Nothing: each file speaks for itself."""
        return {}


def _from(folder: Path, image: Path) -> str:
    """The way from the one to the other where links have been followed: `..` of a linked folder is not where it lies.
    Between two drives of Windows there is none."""
    there = Path(os.path.realpath(image.parent), image.name)
    try:
        return Path(os.path.relpath(there, os.path.realpath(folder))).as_posix()
    except ValueError:
        return there.as_posix()


def _shapes(scene: Scene) -> list[dict[str, Any]]:
    return [
        {
            "label": part.label,
            "points": [[round(float(x), 3), round(float(y), 3)] for x, y in ring],
            "group_id": number,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for number, part in enumerate(scene.parts)
        for ring in part.rings
    ]
