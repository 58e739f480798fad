"""What is written when a run has come to its end: the files that tell of all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ldznet_cli.inference.ledger import Ledger, Recorded
from ldznet_cli.machine.packages import versions_of
from ldznet_cli.samples.atomic import write_atomically

FORMAT = "ldznet.run/1"

_PACKAGES = ("diffusers", "numpy", "pillow", "torch", "transformers")


def conclude(ledger: Ledger, records: Recorded, images: int) -> None:
    """Write the files of the run as a whole from the records of all its images, `run.json` last."""
    plan = ledger.plan
    for made in plan.images:
        for name, content in made.beside().items():
            write_atomically(plan.out / name, content)
    for run in plan.runs:
        run.write(plan.out, records)
    ledger.write_manifest(_manifest(ledger, records, images))


def _manifest(ledger: Ledger, records: Recorded, images: int) -> Mapping[str, Any]:
    """No times: the same command writes the same bytes."""
    masks, failed = records.counted()
    return {
        "format": FORMAT,
        "settings": ledger.settings,
        "settings_digest": ledger.digest,
        "versions": versions_of(*_PACKAGES),
        "images": images,
        "masks": masks,
        "failed": failed,
    }
