"""Every protocol once more, slowly and from its description: one pixel or one threshold at a time, nothing shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.integrate import simpson
from sklearn.metrics import average_precision_score, roc_auc_score

SWEEP = [round(0.02 * k, 2) for k in range(1, 50)]


@dataclass
class Case:
    """One sample: bool mask (H, W), float32 probabilities (h, w), bool ignored pixels (H, W)."""

    mask: np.ndarray
    prob: np.ndarray
    ignore: np.ndarray
    image: str = ""


def to_square(image: np.ndarray, size: int, mode: str) -> torch.Tensor:
    """With PyTorch, as CLIPSeg does it."""
    tensor = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    if mode == "nearest":
        return torch.nn.functional.interpolate(tensor.to(torch.uint8), (size, size), mode=mode)[0, 0].bool()
    return torch.nn.functional.interpolate(tensor, (size, size), mode=mode, align_corners=True)[0, 0]


def pixels(found: Any, mask: Any, ignore: Any) -> dict[str, int]:
    """Counts by looking at every pixel."""
    names = {(True, True): "tp", (True, False): "fp", (False, True): "fn", (False, False): "tn"}
    counts = dict.fromkeys(names.values(), 0)
    rows = zip(found.flatten().tolist(), mask.flatten().tolist(), ignore.flatten().tolist(), strict=True)
    for f, m, i in rows:
        if not i:
            counts[names[f, m]] += 1
    return counts


def clipseg(cases: Sequence[Case], size: int) -> dict[tuple[str, str], float]:
    """mIoU, IoU_FG, IoU_BIN and AP of a data set."""
    squares = [
        (
            to_square(c.prob, size, "bilinear"),
            to_square(c.mask, size, "nearest"),
            to_square(c.ignore, size, "nearest"),
        )
        for c in cases
    ]
    table = [[pixels(p > t, m, i) for p, m, i in squares] for t in SWEEP]
    summed = [{key: sum(row[key] for row in rows) for key in ("tp", "fp", "fn", "tn")} for rows in table]
    curves = {
        "mIoU": [
            sum(r["tp"] / (1 + r["tp"] + r["fp"] + r["fn"]) for r in rows) / len(rows) for rows in table
        ],
        "IoU_FG": [s["tp"] / (1 + s["tp"] + s["fp"] + s["fn"]) for s in summed],
        "IoU_BIN": [
            (s["tp"] / (1 + s["tp"] + s["fp"] + s["fn"]) + s["tn"] / (1 + s["tn"] + s["fn"] + s["fp"])) / 2
            for s in summed
        ],
    }
    numbers = {
        (metric, f"{t:g}"): curve[SWEEP.index(t)]
        for metric, curve in curves.items()
        for t in (0.1, 0.2, 0.3, 0.5)
    }
    numbers |= {(metric, "best"): max(curve) for metric, curve in curves.items()}
    points = {
        (s["tp"] / (1 + s["tp"] + s["fn"]), s["tp"] / (1 + s["tp"] + s["fp"]))
        for s in summed
        if s["tp"] + s["fp"]
    }
    if points:
        recall, precision = zip(*sorted(points), strict=True)
        numbers["AP", "0.02..0.98"] = float(simpson(precision, x=recall))
    return numbers


def native(cases: Sequence[Case], thresholds: Sequence[float]) -> dict[tuple[str, str], float]:
    """For maps that have the image's size; `thresholds` are the predictions' own."""
    numbers: dict[tuple[str, str], float] = {}
    sweeps = {f"{t:g}": [t] * len(cases) for t in SWEEP} | {"own": list(thresholds)}
    for rule, limits in sweeps.items():
        counted = [pixels(c.prob > t, c.mask, c.ignore) for c, t in zip(cases, limits, strict=True)]
        unions = [r["tp"] + r["fp"] + r["fn"] for r in counted]
        ious = [r["tp"] / u if u else 1.0 for r, u in zip(counted, unions, strict=True)]
        numbers["mIoU", rule] = sum(ious) / len(ious)
        numbers["IoU_FG", rule] = sum(r["tp"] for r in counted) / sum(unions) if sum(unions) else 1.0
        for x in (0.5, 0.7, 0.9):
            numbers[f"Pr@{x}", rule] = sum(iou >= x for iou in ious) / len(ious)
        absent = [r for r in counted if r["tp"] + r["fn"] == 0]
        if absent:
            numbers["absent_FPR", rule] = sum(r["fp"] > 0 for r in absent) / len(absent)
    for metric in ("mIoU", "IoU_FG"):
        numbers[metric, "best"] = max(numbers[metric, f"{t:g}"] for t in SWEEP)
    truth = np.concatenate([c.mask[~c.ignore] for c in cases])
    scores = np.concatenate([np.rint(c.prob[~c.ignore].astype(np.float64) * 65535) for c in cases])
    if truth.any():
        numbers["AP", "every score"] = float(average_precision_score(truth, scores))
    present = [bool((c.mask & ~c.ignore).any()) for c in cases]
    if any(present) and not all(present):
        numbers["presence_AUROC", "every score"] = float(roc_auc_score(present, list(map(top, cases))))
    return numbers


def top(case: Case) -> int:
    """The mean of the top 1 % in steps of 1/65535."""
    highest = sorted(case.prob.flatten().tolist(), reverse=True)[: -(-case.prob.size // 100)]
    return round(round(sum(highest) / len(highest), 6) * 65535)


def overlaps(pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[list[float], float]:
    """(IoU of each, IoU of the sums) of (found, mask, ignore), 0 where there is nothing."""
    counted = [pixels(found, mask, ignore) for found, mask, ignore in pairs]
    unions = [r["tp"] + r["fp"] + r["fn"] for r in counted]
    ious = [r["tp"] / u if r["tp"] else 0.0 for r, u in zip(counted, unions, strict=True)]
    return ious, sum(r["tp"] for r in counted) / sum(unions) if sum(unions) else 0.0


def phrasecut(cases: Sequence[Case], thresholds: Sequence[float]) -> dict[tuple[str, str], float]:
    """For maps that have the image's size."""
    ious, cumulative = overlaps(
        [(c.prob > t, c.mask, c.ignore) for c, t in zip(cases, thresholds, strict=True)]
    )
    numbers = {("mean_IoU", "own"): sum(ious) / len(ious), ("cumulative_IoU", "own"): cumulative}
    for x in (0.5, 0.6, 0.7, 0.8, 0.9):
        numbers[f"acc@{x}", "own"] = sum(iou > x for iou in ious) / len(ious)
    return numbers


def refcoco(cases: Sequence[Case], size: int) -> dict[tuple[str, str], float]:
    """With Pillow's nearest, as torchvision has it for images."""

    def shrunk(mask: np.ndarray) -> np.ndarray:
        image = Image.fromarray(mask.astype(np.uint8)).resize((size, size), Image.Resampling.NEAREST)
        return np.asarray(image) > 0

    ious, overall = overlaps(
        [(to_square(c.prob, size, "bilinear").numpy() > 0.5, shrunk(c.mask), shrunk(c.ignore)) for c in cases]
    )
    numbers = {("mIoU", "0.5"): sum(ious) / len(ious), ("oIoU", "0.5"): overall}
    for x in (0.5, 0.6, 0.7, 0.8, 0.9):
        numbers[f"Pr@{x}", "0.5"] = sum(iou >= x for iou in ious) / len(ious)
    return numbers
