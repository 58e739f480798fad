"""The subsets that a sample belongs to, beside all of them."""

from __future__ import annotations

from ldznet_cli.metrics import Truth
from ldznet_cli.samples.sample import Sample

ALL = "all"

CATEGORY = "category:"
"""How the subsets begin of which there may be thousands."""

SMALL, LARGE = 0.02, 0.2
"""Shares of the image (ChenyunWu/PhraseCutDataset: utils/subset.py)."""


def subsets_of(sample: Sample, truth: Truth) -> tuple[str, ...]:
    """`family:value` for each family that can be told: kind, style, size, instances, words, category."""
    families = {
        "kind": sample.kind,
        "style": sample.style,
        "size": _size(truth),
        "instances": _instances(0 if sample.absent else len(sample.segmentations)),
        "words": str(words) if (words := len(sample.phrase.split())) < 3 else "3+",
        "category": sample.category,
    }
    return (ALL, *(f"{family}:{value}" for family, value in families.items() if value is not None))


def _size(truth: Truth) -> str:
    share = truth.mask.mean()
    if share == 0:
        return "absent"
    return "small" if share < SMALL else "large" if share > LARGE else "medium"


def _instances(count: int) -> str:
    return str(count) if count < 2 else "2-4" if count <= 4 else "5+"
