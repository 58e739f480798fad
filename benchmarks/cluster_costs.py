"""What PhraseCut's features cost on one GPU, eight, a cluster: from measured rates, for docs/cluster.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Json = dict[str, Any]

DOC = Path(__file__).resolve().parent.parent / "docs" / "cluster.md"
PHRASES, IMAGES = 310_816, 71_746  # PhraseCut's training set
BYTES = 1_568_768  # of one phrase's features in float16, as a file: 383 pages of a disk
WORKERS = (1, 8, 64)
LOAD_SECONDS = 60
"""For a worker to start: Python, the weights from shared storage."""

TAIL = 8
"""Images in a worker's hands when the others have none left: two chunks of eight, half done on average."""

STORAGE = 2e9
"""Bytes a second that shared storage takes in the simulation: 20 Gbit/s of network, four fifths of it used."""

READINGS = {
    "warm": "warm",
    "first": "warm, and each object checked as when a process first reads it",
    "cold": "cold, each object checked",
}


def write_doc(results: Json) -> None:
    """Put the tables into docs/cluster.md."""
    from documents import write_block

    write_block(DOC, "costs", tables(results))


def tables(results: Json) -> str:
    """All that has been measured, and what follows from it."""
    lines = ["| model and device | what | measured | bar |", "|---|---|---|---|"]
    for where, stages in sorted(results.items()):
        lines += [f"| {where} | {what} | {found} | {bar} |" for what, found, bar in _rows(where, stages)]
    lines += ["", *_costs(results)]
    return "\n".join(lines)


def _rows(where: str, stages: Json) -> list[tuple[str, str, str]]:
    rows = []
    for name, found in sorted(stages.get("caching", {}).items()):
        if not isinstance(found, dict) or "ratio_cpu" not in found:
            continue
        bar = "1.3" if where.startswith("miniature") else "1.05"
        what = f"caching, {name}, over bare passes of {found['bare_batch']} rows"
        ratios = f"{found['ratio_wall']['bare']:.2f} by the clock, {found['ratio_cpu']['bare']:.2f} of processor time"
        rows.append((what, ratios, f"at most {bar}"))
        rows.append((f"the model waits, {name}", f"{100 * found['waited_share']:.1f} %", "at most 5 %"))
    for name, about in READINGS.items():
        if found := stages.get("reading", {}).get(name):
            ratio = f"{found['ratio_wall']['features']:.2f} of the throughput"
            what = f"reading at Stable Diffusion's size over plain reads, {about}"
            rows.append((what, ratio, "at least 0.8"))
    if found := stages.get("training"):
        rows.append(("training step: live over cached", f"{found['ratio_live_to_cached']:.2f}", ""))
        for workers, share in found["waits"].items():
            bar = "under 3 %" if workers == "1" else ""
            rows.append(
                (f"training waits for its batch, {workers} reading ahead", f"{100 * share:.1f} %", bar)
            )
    if found := stages.get("workers"):
        rates = ", ".join(f"{n}: {rate}" for n, rate in found["rows_per_second"].items() if n.isdecimal())
        rows.append((f"Ray workers on {found['rows_per_second']['cores']} cores: phrases/s", rates, ""))
    return rows


def _costs(results: Json) -> list[str]:
    rates = {
        where: stages["rate"]
        for where, stages in sorted(results.items())
        if where.startswith("sd") and "rate" in stages
    }
    total = PHRASES * BYTES
    lines = [
        f"PhraseCut's training set has {PHRASES:,} phrases of {IMAGES:,} images; the features of one draw are "
        f"{PHRASES:,} × {BYTES / 1e6:.2f} MB = {total / 1e12:.2f} TB in float16 (`int8`: half of that).",
        "",
        "| measured on | a row | " + " | ".join(f"{n} worker{'s' * (n > 1)}" for n in WORKERS) + " |",
        "|---|---|" + "---|" * len(WORKERS),
    ]
    for where, found in rates.items():
        about = f"{where}, {found['machine']['processor']}, {found['machine']['threads']} threads"
        row = f"{found['row_s']:.3g} s in batches of {found['batch']}"
        lines.append(f"| {about} | {row} | " + " | ".join(_cell(found, n) for n in WORKERS) + " |")
    return [*lines, "", f"A draw, where each worker has a device like that: {_assumptions()}"]


def _cell(found: Json, workers: int) -> str:
    time, limit = hours(found, workers)
    shown = f"{time / 24:.1f} days" if time > 48 else f"{time:.1f} h"
    return f"{shown}, {PHRASES * BYTES / time / 3600 / 1e6:.3g} MB/s" + (
        " (storage)" if limit == "storage" else ""
    )


def hours(found: Json, workers: int) -> tuple[float, str]:
    """The simulation: hours for one draw, and what they are spent on ("devices" or "storage")."""
    image = found["image_s"] + PHRASES / IMAGES * (found["row_s"] + found["prompt_s"])
    devices = LOAD_SECONDS + (IMAGES / workers + TAIL) * image
    storage = PHRASES * BYTES / STORAGE
    return max(devices, storage) / 3600, "storage" if storage > devices else "devices"


def _assumptions() -> str:
    return (
        f"{LOAD_SECONDS} s to start, work dealt out in small chunks: the last worker ends about {TAIL} images "
        f"after the first, one store for all that takes {STORAGE / 1e9:g} GB/s; where that is the limit, it says so."
    )
