"""How good masks are, against a ground truth: `evaluate` in one call, `Evaluation` step by step."""

from __future__ import annotations

from ldznet_cli.evaluation.answer import Answer, Answers, ImageKey
from ldznet_cli.evaluation.arrays import PredictedArrays
from ldznet_cli.evaluation.mask_folder import MaskFolder
from ldznet_cli.evaluation.records import RecordedAnswers
from ldznet_cli.evaluation.report import Report, Score
from ldznet_cli.evaluation.run import DEFAULT_PROTOCOLS, Evaluation, evaluate, truth_of
from ldznet_cli.evaluation.scoreboard import PROTOCOLS, Scoreboard
from ldznet_cli.evaluation.sources import open_predictions
from ldznet_cli.evaluation.table import Table, tables_of

__all__ = [
    "DEFAULT_PROTOCOLS",
    "PROTOCOLS",
    "Answer",
    "Answers",
    "Evaluation",
    "ImageKey",
    "MaskFolder",
    "PredictedArrays",
    "RecordedAnswers",
    "Report",
    "Score",
    "Scoreboard",
    "Table",
    "evaluate",
    "open_predictions",
    "tables_of",
    "truth_of",
]
