"""A sample: one phrase about one image, and where in the image it is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.masks import union
from ldznet_cli.samples.segmentation import Convention, Segmentation

Mask = NDArray[np.bool_]
Kind = Literal["thing", "stuff"]


@dataclass(frozen=True)
class Sample:
    """One (image, phrase) with its annotations; masks are drawn when asked for, at the annotated size.

    `segmentations` are the phrase's instances; none, or empty ones, say that it is absent. `ignored` are regions that
    nobody can score (crowds): left out of the counted pixels. `category`, `kind` and `style` only where the file tells.
    """

    id: str
    image: ImageRef
    image_id: int | str
    width: int
    height: int
    phrase: str
    category: str | None = None
    kind: Kind | None = None
    style: str | None = None
    segmentations: tuple[Segmentation, ...] = ()
    ignored: tuple[Segmentation, ...] = ()

    @property
    def absent(self) -> bool:
        """Whether the file says that the phrase names nothing in the image: there is no mask, or only empty ones."""
        return all(part.empty for part in self.segmentations)

    def mask(self, convention: Convention = "polygon2mask") -> Mask:
        """The ground truth, bool (height, width): the union of all instances."""
        return self._union(self.segmentations, convention)

    def ignore(self, convention: Convention = "polygon2mask") -> Mask:
        """The pixels that do not count, bool (height, width)."""
        return self._union(self.ignored, convention)

    def _union(self, parts: tuple[Segmentation, ...], convention: Convention) -> Mask:
        masks = (part.mask(self.width, self.height, convention) for part in parts)
        return union(masks, self.width, self.height)
