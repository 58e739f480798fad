"""A run's folder: whose it is, and whether a run may begin or go on in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ldznet_cli.config import TRAINING_PICTURE
from ldznet_cli.errors import AnnotationError, ModelError, UsageError
from ldznet_cli.nets import read_info
from ldznet_cli.nets.manifest import EMA, MANIFEST, RAW
from ldznet_cli.samples.fields import Fields
from ldznet_cli.training import checkpoint

FORMAT = "ldznet.training/1"
RECORD = "training.json"
_LOGS = ("tensorboard", "wandb")
"""Folders of trackers."""
_FLAGS = {"precision": "dtype"}
"""Settings that their flags call otherwise."""


def check(out: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Raises UsageError when `out` holds something else, or a run with other settings (with `overwrite` it may), and
    ModelError when it holds a run that cannot go on."""
    _check_owner(out)
    if overwrite or (record := read_record(out)) is None:
        return
    _check_settings(out, record["settings"], settings)
    if record["validations"]:
        _check_weights(out)


def read_record(out: Path) -> dict[str, Any] | None:
    """The `training.json` of a run folder, None where there is none. Raises ModelError when it is damaged."""
    path = out / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']}, expected {FORMAT}")
        fields = Fields.of(record, "it")
        for name in ("steps", "batch", "validate_every"):
            fields.object("settings").whole(name)
        checkpoint.check_course(fields)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, AnnotationError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}); `ldznet train --overwrite` begins the run anew"
        ) from error
    return record


def remove(out: Path) -> None:
    """Deletes a former run and its logs (and nothing else) from `out`, which `check` has looked at."""
    checkpoint.remove_all(out)
    for name in _LOGS:
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (MANIFEST, RAW, EMA, RECORD):
        (out / name).unlink(missing_ok=True)


def _check_owner(out: Path) -> None:
    """Raises UsageError for a folder with something in it that is no run; our own lock, and files that were half
    written, are nobody's."""
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise UsageError(f"--out: {place} is a file; name a folder")
    if (out / RECORD).exists() or not out.exists():
        return
    names = {path.name for path in out.iterdir() if not path.name.startswith(".ldznet.")}
    if names - {*_LOGS, TRAINING_PICTURE}:
        raise UsageError(
            f"--out: {out} is not empty and holds no training run ({RECORD}); choose another folder"
        )


def _check_settings(out: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    found, wanted = dict(_flat(there)), dict(_flat(here))
    for name in {**wanted, **found}:
        if found.get(name) != wanted.get(name):
            raise UsageError(
                f"{out} holds a run with other settings: {_FLAGS.get(name, name)} is {found.get(name)} there and "
                f"{wanted.get(name)} here; choose another --out, or --overwrite"
            )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings with those of objects by a name each, as `net.kind`."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _check_weights(out: Path) -> None:
    """Raises ModelError where the best weights so far are gone: no checkpoint has them.

    Their hashes are not asked for: a run that was killed while it saved better ones goes on.
    """
    try:
        read_info(out)
        for name in (RAW, EMA):
            with safe_open(out / name, framework="pt"):
                pass
    except (OSError, SafetensorError, ModelError) as error:
        raise ModelError(
            f"{out}: the best weights of this run are not whole ({error}); put them back, or begin the run anew with "
            "--overwrite"
        ) from error
