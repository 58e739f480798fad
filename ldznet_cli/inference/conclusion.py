"""What is written when a run has come to its end: the files that tell of all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from ldznet_cli import __version__
from ldznet_cli.inference.ledger import Ledger
from ldznet_cli.samples.atomic import write_atomically
from ldznet_cli.samples.record import Record

FORMAT = "ldznet.run/1"

_PACKAGES = ("diffusers", "numpy", "pillow", "torch", "transformers")


def conclude(ledger: Ledger, records: Sequence[Record], images: int) -> None:
    """Write the files of the run as a whole from the records of all its images, `run.json` last."""
    plan = ledger.plan
    for made in (*(image.beside() for image in plan.images), *(run.encode(records) for run in plan.runs)):
        for name, content in made.items():
            write_atomically(plan.out / name, content)
    ledger.write_manifest(_manifest(ledger, records, images))


def _manifest(ledger: Ledger, records: Sequence[Record], images: int) -> Mapping[str, Any]:
    """No times: the same command writes the same bytes."""
    failed = sum(record.error is not None for record in records)
    return {
        "format": FORMAT,
        "settings": ledger.settings,
        "settings_digest": ledger.digest,
        "versions": {"ldznet-cli": __version__, **{name: version(name) for name in _PACKAGES}},
        "images": images,
        "masks": len(records) - failed,
        "failed": failed,
    }
