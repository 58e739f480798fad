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

    def __init__(self, arrays: Mapping[tuple[str, str], NDArray[Any]]) -> None:
        self._arrays = arrays

    def __iter__(self) -> Iterator[Answer]:
        for (name, phrase), array in self._arrays.items():
            where = f"the array of {name!r}, {phrase!r}"
            yield Answer(ImageKey(name), phrase, partial(_prediction, array), where=where)


def _prediction(array: NDArray[Any]) -> Prediction:
    return Prediction(mask=array) if array.dtype == np.bool_ else Prediction(array)
