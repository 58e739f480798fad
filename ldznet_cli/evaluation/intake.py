"""What came in: how many predictions, of whom, and what became of them."""

from __future__ import annotations

from collections import Counter

from ldznet_cli.errors import AnnotationError, NothingToDo
from ldznet_cli.evaluation.answer import Answer
from ldznet_cli.evaluation.report import Predictions
from ldznet_cli.evaluation.scoring import Outcome
from ldznet_cli.samples.coco import SampleSet

_LISTED = 10
"""Failures that a report spells out."""


class Intake:
    """Counts, and the first few failures."""

    def __init__(self) -> None:
        self.read = self.scored = self.hard = self.failed = self.duplicates = self.ignored_pixels = 0
        self.models: Counter[str] = Counter()
        self.geometries: Counter[str] = Counter()
        self.digests: set[str] = set()
        self.settings: set[str] = set()
        self._ignored: Counter[str] = Counter()
        self._failures: list[str] = []
        self._stranger: Answer | None = None

    def ignore(self, reason: str, answer: Answer) -> None:
        """A prediction that nothing was annotated for."""
        self._ignored[reason] += 1
        self._stranger = self._stranger or answer

    def settle(self, answer: Answer, outcome: Outcome) -> None:
        """A prediction that was scored, or failed."""
        if outcome.error is not None:
            self.failed += 1
            if len(self._failures) < _LISTED:
                name = f"{answer.where} ({answer.image.name}, {answer.phrase!r})"
                self._failures.append(f"{name}: {outcome.error}")
            return
        self.scored += 1
        self.hard += outcome.hard
        self.models[answer.model or "unknown"] += 1
        self.geometries[answer.geometry or "unknown"] += 1
        self.digests.update(() if answer.model_digest is None else (answer.model_digest,))
        self.settings.update(() if answer.settings is None else (answer.settings,))

    def summary(self, source: str, missing: int) -> Predictions:
        """As a report has it."""
        return Predictions(
            source=source,
            read=self.read,
            scored=self.scored,
            hard=self.hard,
            failed=self.failed,
            duplicates=self.duplicates,
            missing=missing,
            ignored=dict(self._ignored),
            models=dict(self.models),
            geometries=dict(self.geometries),
            failures=tuple(self._failures),
        )

    def refuse_strangers(self, samples: SampleSet, source: str) -> None:
        """Zeros for predictions that belong to another ground truth would be worse than an error."""
        if not self.read:
            raise NothingToDo(f"{source}: no predictions: expected what `ldznet segment` gives")
        if self._stranger is not None and not self.scored + self.failed:
            known, other = samples.samples[0], self._stranger
            why = ", ".join(f"{count} {reason}" for reason, count in self._ignored.items())
            raise AnnotationError(
                f"{source}: none of {self.read} predictions fits {samples.path} ({why}): "
                f"found image {other.image.name!r} with phrase {other.phrase!r}, "
                f"expected such as image {known.image.name!r} with phrase {known.phrase!r}"
            )
