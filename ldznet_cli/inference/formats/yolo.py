"""YOLO's segmentation labels, as Ultralytics reads them: a text file an image, a line a connected part.

A line is the class's number and x y of each corner, in parts of the image's width and height. A hole is kept by a cut
(samples/outline.py). `data.yaml` names the classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ldznet_cli.inference.formats.seams import Scene
from ldznet_cli.samples.outline import Ring


@dataclass(frozen=True)
class Yolo:
    """`classes` are the run's labels; a label's number is its place among them, from 0."""

    classes: tuple[str, ...]
    name: str = "yolo"
    folder: str = "yolo/labels"
    suffix: str = ".txt"
    outlined: bool = True

    def encode(self, scene: Scene, place: Path) -> bytes:  # noqa: ARG002
        """Empty for an image without any mask: to YOLO that is a background image."""
        return "".join(self._lines(scene)).encode()

    def beside(self) -> Mapping[str, bytes]:
        """The data set's description. YAML takes JSON's strings.

        Without `path` Ultralytics begins at the file's own folder; "." would be the folder that it runs in.
        """
        names = "".join(f"  {number}: {json.dumps(label)}\n" for number, label in enumerate(self.classes))
        text = f"# The images belong in images/, beside labels/.\ntrain: images\nval: images\nnames:\n{names}"
        return {"yolo/data.yaml": text.encode()}

    def _lines(self, scene: Scene) -> Iterator[str]:
        for part in scene.parts:
            number = self.classes.index(part.label)
            for ring in part.rings:
                yield f"{number} {_corners(ring, scene.width, scene.height)}\n"


def _corners(ring: Ring, width: int, height: int) -> str:
    parts = (ring / (width, height)).clip(0, 1)
    return " ".join(f"{x:.6f} {y:.6f}" for x, y in parts)
