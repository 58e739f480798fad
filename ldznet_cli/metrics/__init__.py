"""Counts, IoU, AP, intervals, and the four protocols that are made of them: arrays in, numbers out.

Every scorer has `update(truth, prediction)`, `merge(other)` and `compute()`, and keeps constant memory. No number of
one protocol may be set beside a number of another without saying so.
"""

from __future__ import annotations

from ldznet_cli.metrics.average_precision import ScoreHistogram, simpson_ap
from ldznet_cli.metrics.clipseg import ClipSeg
from ldznet_cli.metrics.counts import Counts, count, count_mask
from ldznet_cli.metrics.intervals import ImageSums, interval_of
from ldznet_cli.metrics.iou import OverlapSums, iou, smoothed_iou
from ldznet_cli.metrics.native import Native
from ldznet_cli.metrics.phrasecut import PhraseCut
from ldznet_cli.metrics.protocol import Curve, Number, Prediction, Scorer, Truth
from ldznet_cli.metrics.refcoco import RefCoco
from ldznet_cli.metrics.thresholds import THRESHOLDS

__all__ = [
    "THRESHOLDS",
    "ClipSeg",
    "Counts",
    "Curve",
    "ImageSums",
    "Native",
    "Number",
    "OverlapSums",
    "PhraseCut",
    "Prediction",
    "RefCoco",
    "ScoreHistogram",
    "Scorer",
    "Truth",
    "count",
    "count_mask",
    "interval_of",
    "iou",
    "simpson_ap",
    "smoothed_iou",
]
