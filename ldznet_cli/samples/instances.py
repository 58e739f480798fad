"""The connected parts of a mask, each with box, area and score: what records tell as `instances`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.samples.record import Instance


def instances_of(mask: NDArray[np.bool_], prob: NDArray[np.float32]) -> tuple[Instance, ...]:
    """The parts (8 neighbours) of a mask (height, width), largest first, equals in reading order.

    `prob` holds the probabilities at the same pixels: a part's score is their mean inside of it.
    """
    from scipy import ndimage

    labels, _ = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[rows, columns] == number
        score = float(prob[rows, columns][part].mean(dtype=np.float64))
        width, height = columns.stop - columns.start, rows.stop - rows.start
        box = (int(columns.start), int(rows.start), int(width), int(height))
        found.append(Instance(box, int(part.sum()), round(min(max(score, 0.0), 1.0), 6)))
    return tuple(sorted(found, key=lambda instance: -instance.area))
