"""Counts, IoU, AP, intervals, and the four protocols that are made of them: arrays in, numbers out.

Every scorer has `update(truth, prediction)`, `merge(other)` and `compute()`, and keeps constant memory. No number of
one protocol may be set beside a number of another without saying so.
"""

from __future__ import annotations

from ldznet_cli.metrics.clipseg import ClipSeg
from ldznet_cli.metrics.counts import count
from ldznet_cli.metrics.intervals import interval_of
from ldznet_cli.metrics.native import Native
from ldznet_cli.metrics.phrasecut import PhraseCut
from ldznet_cli.metrics.protocol import Curve, Prediction, Scorer, Truth
from ldznet_cli.metrics.refcoco import RefCoco
from ldznet_cli.metrics.thresholds import THRESHOLDS

__all__ = [
    "THRESHOLDS",
    "ClipSeg",
    "Curve",
    "Native",
    "PhraseCut",
    "Prediction",
    "RefCoco",
    "Scorer",
    "Truth",
    "count",
    "interval_of",
]
