"""How good masks are, against a ground truth: `evaluate` in one call, `Evaluation` step by step."""

from __future__ import annotations

from ldznet_cli.evaluation.answer import Answer, ImageKey
from ldznet_cli.evaluation.comparison import compared
from ldznet_cli.evaluation.ranking import Shown
from ldznet_cli.evaluation.report import Ranked, Report, Score
from ldznet_cli.evaluation.run import DEFAULT_PROTOCOLS, Evaluation, evaluate
from ldznet_cli.evaluation.sources import open_predictions
from ldznet_cli.evaluation.table import Table, comparison_tables, tables_of
from ldznet_cli.evaluation.tuning import swept_protocol, tune

__all__ = [
    "DEFAULT_PROTOCOLS",
    "Answer",
    "Evaluation",
    "ImageKey",
    "Ranked",
    "Report",
    "Score",
    "Shown",
    "Table",
    "compared",
    "comparison_tables",
    "evaluate",
    "open_predictions",
    "swept_protocol",
    "tables_of",
    "tune",
]
