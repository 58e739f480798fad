"""What each storage dtype of cached features costs: errors of features, logits and masks of the bundled LD-ZNet.

    python benchmarks/storage.py [--gt JSON …] [--limit N]
    python benchmarks/storage.py --table

Features are computed live, in float32; each dtype then gets them as a reader of a cache would, and the same net makes
masks of them. Everything else stays as it is, so what differs is the storage alone. Scores are of sample_data's scenes,
which neither the LDM nor the net saw in training. The first call writes benchmarks/results/storage.json, the second
prints that as the table in docs/cache.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "storage.json"
DTYPES = ("float32", "float16", "bfloat16", "int8")
GT = [ROOT / "sample_data" / "photos.json", ROOT / "sample_data" / "aigi.json"]
_EVERY = 20  # phrases between two lines of progress


def measure(gts: list[Path], limit: int | None) -> dict[str, Any]:
    """One row a dtype; the error of a logit is relative to the standard deviation of all logits."""
    sums: dict[str, dict[str, float]] = {dtype: defaultdict(float) for dtype in DTYPES}
    phrases, began = 0, time.perf_counter()
    for exact, rows in _answers(gts, limit):
        phrases += 1
        for dtype, row in rows.items():
            for name, value in row.items():
                own = sums[dtype]
                own[name] = max(own[name], value) if name.startswith("max") else own[name] + value
            sums[dtype]["squares"] += exact
        if phrases % _EVERY == 0:
            print(f"{phrases} phrases, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return {
        "net": "the bundled miniature LD-ZNet",
        "scenes": [str(gt.relative_to(ROOT)) if gt.is_relative_to(ROOT) else gt.name for gt in gts],
        "phrases": phrases,
        "dtypes": {dtype: _row(own, phrases) for dtype, own in sums.items()},
    }


def _answers(gts: list[Path], limit: int | None) -> Iterator[tuple[float, dict[str, dict[str, float]]]]:
    """For each phrase: the mean square of its centred logits, and what each dtype does to it."""
    import torch

    from ldznet_cli.features import FeatureItem, LiveFeatures
    from ldznet_cli.ldm import DrawPolicy, FrozenLDM
    from ldznet_cli.miniature.bundle import ldm_folder, model_folder
    from ldznet_cli.nets import load_net, read_info
    from ldznet_cli.samples.coco import load_coco
    from ldznet_cli.samples.geometry import Geometry
    from ldznet_cli.samples.templates import INFERENCE_TEMPLATE

    net, info = load_net(model_folder()), read_info(model_folder())
    policy = DrawPolicy(0, info.timesteps, INFERENCE_TEMPLATE)
    ldm = FrozenLDM.load(ldm_folder(), blocks=net.config.blocks)
    live = LiveFeatures(ldm, Geometry(**info.geometry), policy, batch=1)
    samples = [sample for gt in gts for sample in load_coco(gt).samples if not sample.absent]
    with torch.inference_mode():
        for sample in samples[:limit]:
            [part] = live.features(sample.image, [FeatureItem(sample.phrase)])
            yield _compared(net, part, sample, info.threshold)


def _compared(
    net: Any, part: Any, sample: Any, threshold: float
) -> tuple[float, dict[str, dict[str, float]]]:
    from ldznet_cli.features.storage import restored, stored

    blocks = {str(index): block for index, block in part.blocks.items()}
    exact = net(part.z[None], part.text[None], {index: block[None] for index, block in part.blocks.items()})[
        0, 0
    ]
    rows = {}
    for dtype in DTYPES:
        kept = restored(stored(blocks, dtype))
        answer = net(part.z[None], part.text[None], {int(name): value[None] for name, value in kept.items()})[
            0, 0
        ]
        error = answer - exact
        rows[dtype] = {
            "feature": _relative(blocks, kept),
            "logit_squares": float((error**2).mean()),
            "max_logit": float(error.abs().max()),
            "iou": _iou(answer, sample, threshold),
            "pixels": float(((answer > 0) != (exact > 0)).float().mean()),
        }
    return float(((exact - exact.mean()) ** 2).mean()), rows


def _relative(blocks: dict[str, Any], kept: dict[str, Any]) -> float:
    """Root mean square error of the features over their root mean square, the mean over blocks."""
    errors = [((kept[name] - block) ** 2).mean() / (block**2).mean() for name, block in blocks.items()]
    return sum(float(error) ** 0.5 for error in errors) / len(errors)


def _iou(logits: Any, sample: Any, threshold: float) -> float:
    """At the image's own size, as the `native` protocol has it."""
    from ldznet_cli.samples.geometry import to_image_size

    mask = sample.mask()
    found = to_image_size(logits.sigmoid().numpy(), sample.width, sample.height) > threshold
    union = (found | mask).sum()
    return float((found & mask).sum() / union) if union else 1.0


def _row(sums: dict[str, float], phrases: int) -> dict[str, float]:
    spread = (sums["squares"] / phrases) ** 0.5
    return {
        "feature_error": sums["feature"] / phrases,
        "logit_error": (sums["logit_squares"] / phrases) ** 0.5 / spread,
        "largest_logit_error": sums["max_logit"] / spread,
        "pixels_flipped": sums["pixels"] / phrases,
        "miou": sums["iou"] / phrases,
    }


def table(found: dict[str, Any]) -> str:
    """The recorded results as Markdown."""
    lines = [
        "| `--storage-dtype` | features, RMS | logits, RMS | logits, largest | pixels that change sides | mIoU |",
        "|---|---|---|---|---|---|",
    ]
    for dtype, row in found["dtypes"].items():
        errors = (f"{row[name]:.1e}" for name in ("feature_error", "logit_error", "largest_logit_error"))
        shown = ["0" if error == "0.0e+00" else error for error in errors]
        flipped = f"{100 * row['pixels_flipped']:.3f} %"
        lines.append(f"| `{dtype}` | {' | '.join(shown)} | {flipped} | {100 * row['miou']:.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gt", type=Path, nargs="+", default=GT)
    parser.add_argument("--limit", type=int, help="phrases")
    parser.add_argument("--table", action="store_true", help="print what was recorded")
    options = parser.parse_args()
    if not options.table:
        RESULTS.parent.mkdir(exist_ok=True)
        found = measure(options.gt, options.limit)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(json.loads(RESULTS.read_text(encoding="utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
