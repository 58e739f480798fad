"""The results of `inference.py` as Markdown, for docs/speed.md."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

COMPARISONS = {
    "one": ("one phrase, float32", 1.1),
    "cut": ("the frozen UNet alone at 48x48", 1.45),
    "many": ("several phrases on one image", 1.5),
    "taesd": ("one phrase with TAESD as first stage", None),
    "bf16": ("one phrase in bfloat16", None),
}
"""Stage → what is compared, and the ratio it is held to."""


def tables(results: Json) -> str:
    """All that has been measured."""
    stages, machine = results["stages"], results["machine"]
    lines = [f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}.", ""]
    lines += _comparisons(stages)
    if "masks" in stages:
        lines += ["", _masks(stages["masks"])]
    for dtype in ("float32", "bfloat16"):
        lines += _profile(dtype, stages.get("profile", {}).get(dtype))
    lines += _memory(stages.get("memory", {}))
    return "\n".join(lines)


def _masks(found: Json) -> str:
    return (
        f"Masks in bfloat16 against float32, at threshold 0.5, by the bundled miniature on `sample_data`: mean IoU "
        f"{found['mean_iou']:.4f} over {found['masks']} masks (at least 0.98), the lowest {found['lowest_iou']:.4f}."
    )


def _comparisons(stages: Json) -> list[str]:
    lines = [
        "| | seconds | against | seconds | times as fast | by processor time | at least |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage, (what, bar) in COMPARISONS.items():
        if (found := stages.get(stage)) is None:
            continue
        fast, slow = (
            name for name in reversed(found) if isinstance(found[name], dict) and "wall_s" in found[name]
        )
        cells = [what, f"{fast} {found[fast]['wall_s']:.2f}", slow, f"{found[slow]['wall_s']:.2f}"]
        cells += [f"{found['ratio_' + kind][fast]:.2f}" for kind in ("wall", "cpu")]
        lines.append("| " + " | ".join([*cells, str(bar or "")]) + " |")
    return lines


def _profile(dtype: str, found: Json | None) -> list[str]:
    if found is None:
        return []
    lines = ["", f"{dtype}: matrix products run at {found['gflops_per_s']} GFLOP/s here.", ""]
    lines += ["| stage | GFLOP | floor, s | measured, s | times the floor |", "|---|---|---|---|---|"]
    for stage, row in found["stages"].items():
        cells = [stage, *(str(row[key]) for key in ("gflop", "floor_s", "wall_s", "times_the_floor"))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _memory(found: Json) -> list[str]:
    if not found:
        return []
    lines = [
        "",
        "| `ldznet segment`, one phrase | weights in use, MB | anonymous memory, MB | ratio (at most 1.1) | "
        "imported libraries alone, MB | peak, MB |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for dtype, row in found.items():
        cells = [
            row[key]
            for key in ("weights_mb", "anonymous_mb", "anonymous_over_weights", "libraries_mb", "peak_mb")
        ]
        lines.append(f"| {dtype} | " + " | ".join(map(str, cells)) + " |")
    return lines
