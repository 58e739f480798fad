"""A predictor that asks for less at once when the memory does not hold it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from PIL import Image

from ldznet_cli.errors import LdznetError
from ldznet_cli.inference.predictor import Predictor, PredictorIdentity, ProbMap
from ldznet_cli.ldm.memory import out_of_memory


@runtime_checkable
class Batched(Predictor, Protocol):
    """A predictor that puts `batch` phrases through at once, and as many as it says at the moment of being asked."""

    batch: int


class Halving:
    """`predictor`, tried again with half its batch whenever the memory runs out; `tell` hears of it in one line.

    Answers of two batch sizes agree within 2/65535. Raises LdznetError where one phrase at a time is too much.
    """

    def __init__(self, predictor: Predictor, tell: Callable[[str], None] = lambda _: None) -> None:
        self._predictor, self._tell = predictor, tell

    @property
    def identity(self) -> PredictorIdentity:
        return self._predictor.identity

    @property
    def threshold(self) -> float:
        return self._predictor.threshold

    def check(self, phrases: Sequence[str]) -> None:
        """As the predictor does."""
        self._predictor.check(phrases)

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:
        """As the predictor does, in as many attempts as it takes."""
        while True:
            try:
                return self._predictor.predict(image, sha256, phrases)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                reason = " ".join(str(error).split())[:160]
            self._halve(reason)  # outside: the failed attempt's tensors are let go first

    def _halve(self, reason: str) -> None:
        if not isinstance(self._predictor, Batched) or self._predictor.batch == 1:
            raise LdznetError(
                f"out of memory with one phrase at a time ({reason}): end other programs, or try --device cpu"
            )
        before, self._predictor.batch = self._predictor.batch, self._predictor.batch // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._tell(f"out of memory with --batch {before}: going on with --batch {self._predictor.batch}")
