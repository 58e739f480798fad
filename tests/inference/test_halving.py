"""What happens when the memory runs out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from ldznet_cli.errors import LdznetError
from ldznet_cli.inference import ColourPredictor, Halving, Predictor, ProbMap
from ldznet_cli.inference.halving import out_of_memory

IMAGE = Image.new("RGB", (8, 8), "red")


class Small:
    """Has memory for `room` phrases at once."""

    def __init__(self, batch: int, room: int, error: BaseException) -> None:
        self.inner, self.batch, self.room, self.error = ColourPredictor(), batch, room, error
        self.identity, self.threshold = self.inner.identity, 0.25
        self.tried: list[int] = []

    def check(self, phrases: Sequence[str]) -> None:
        self.inner.check(phrases)

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        self.tried.append(self.batch)
        if self.batch > self.room:
            raise self.error
        return self.inner.predict(image, sha256, phrases)


FAULTS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\n (GPU 0)"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
    ),
    MemoryError(),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_batch_is_halved_until_it_fits_and_stays_so(fault: BaseException) -> None:
    told: list[str] = []
    small = Small(8, 2, fault)
    careful = Halving(small, told.append)
    found = careful.predict(IMAGE, "0" * 64, ["red", "blue"])
    careful.predict(IMAGE, "0" * 64, ["red"])
    assert small.tried == [8, 4, 2, 2]
    assert told == [
        "out of memory with --batch 8: going on with --batch 4",
        "out of memory with --batch 4: going on with --batch 2",
    ]
    expected = ColourPredictor().predict(IMAGE, "0" * 64, ["red", "blue"])
    assert all(np.array_equal(a.prob, b.prob) for a, b in zip(found, expected, strict=True))


def test_one_phrase_too_many_is_an_error_in_one_line() -> None:
    with pytest.raises(
        LdznetError, match=r"one phrase at a time \(CUDA out of memory.*--device cpu"
    ) as caught:
        Halving(Small(2, 0, FAULTS[0])).predict(IMAGE, "0" * 64, ["red"])
    assert "\n" not in str(caught.value)
    with pytest.raises(LdznetError, match="one phrase at a time"):
        Halving(Unbatched()).predict(IMAGE, "0" * 64, ["red"])


class Unbatched(ColourPredictor):
    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        raise MemoryError


def test_other_faults_are_let_through() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        Halving(Small(4, 0, RuntimeError("shapes do not fit"))).predict(IMAGE, "0" * 64, ["red"])
    assert not out_of_memory(ValueError("memory"))


def test_it_is_a_predictor_like_the_one_inside() -> None:
    careful = Halving(Small(1, 1, MemoryError()))
    assert isinstance(careful, Predictor)
    assert (careful.threshold, careful.identity) == (0.25, ColourPredictor().identity)
