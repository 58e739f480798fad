"""Predictions that are already in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldznet_cli.evaluation.answer import Answer, ImageKey
from ldznet_cli.metrics import Prediction


class PredictedArrays:
    """{(image name, phrase): array}: floats are probabilities on any grid, bools a mask at the image's size."""

    source = "arrays in memory"

    def __init__(self, arrays: Mapping[tuple[str, str], NDArray[Any]], threshold: float = 0.5) -> None:
        self._arrays, self._threshold = arrays, threshold

    def __iter__(self) -> Iterator[Answer]:
        for (name, phrase), array in self._arrays.items():
            where = f"the array of {name!r}, {phrase!r}"
            yield Answer(ImageKey(name), phrase, partial(_prediction, array, self._threshold), where=where)


def _prediction(array: NDArray[Any], threshold: float) -> Prediction:
    if array.dtype == np.bool_:
        return Prediction(mask=array)
    return Prediction(array, threshold=threshold)
