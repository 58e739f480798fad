"""A model of the hub, fetched ahead of its use: into the hub's cache, or as a plain folder to take along."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ldznet_cli.errors import UsageError, WeightsUnavailable
from ldznet_cli.ldm.folder import checked_hub_id, find_parts, read_json, weight_files
from ldznet_cli.ldm.hub import RAW_VARIANT, TRANSFORMERS_FILES, WEIGHT_STEMS, download, fetch
from ldznet_cli.ldm.record import write_record
from ldznet_cli.ldm.staging import refuse_filled, staged

_ALL = ("unet", "vae", "text_encoder", "")
_NO_UNET = ("vae", "text_encoder")
_RAW_UNET = f"unet/{WEIGHT_STEMS['unet']}{RAW_VARIANT}.safetensors"


@dataclass(frozen=True)
class Pulled:
    """`folder` is where the model is now, at which `commit` of the hub; `files` and `size` (bytes) are all it has."""

    folder: Path
    commit: str
    files: int
    size: int


def pull(
    hub_id: str,
    out: Path | None = None,
    *,
    revision: str | None = None,
    raw: bool = False,
    offline: bool = False,
    bars: type | None = None,
) -> Pulled:
    """Fetches what `--ldm`, `--vae` or `--clipseg` would of `hub_id`, and checks that it is whole.

    With `out` the model becomes a folder of its own there, with a record of its hashes. `raw` takes the UNet's raw
    weights (`non_ema`) in place of the average, and needs `out`, so that none is mistaken for the other. Raises
    UsageError, WeightsUnavailable, ModelError, DiskFull.
    """
    checked_hub_id(hub_id)
    if out is None and raw:
        raise UsageError(
            "--raw needs --out: the raw weights become a folder of their own, to be given as --ldm"
        )
    if out is not None:
        refuse_filled(out)
    folder = _fetch(hub_id, revision, raw, offline, bars)
    files = _files(folder, raw)
    if out is not None:
        with staged(out) as part:
            for path in files:
                target = part / path.relative_to(folder).as_posix().replace(RAW_VARIANT, "")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            weights = "raw" if raw else "as published"
            write_record(part, {"hub": hub_id, "revision": folder.name, "weights": weights})
    return Pulled(out or folder, folder.name, len(files), sum(path.stat().st_size for path in files))


def _fetch(hub_id: str, revision: str | None, raw: bool, offline: bool, bars: type | None) -> Path:
    parts = _NO_UNET if raw else _ALL
    folder = download(hub_id, revision=revision, offline=offline, parts=parts, bars=bars)
    if raw:
        folder = fetch(hub_id, [_RAW_UNET], revision=revision, offline=offline, bars=bars)
        if not (folder / _RAW_UNET).is_file():
            raise WeightsUnavailable(
                f"{hub_id} has no raw weights ({_RAW_UNET}); `ldznet weights import-ldm` takes them out of a "
                "single-file checkpoint that holds both"
            )
    elif _is_of_transformers(folder):
        return fetch(hub_id, TRANSFORMERS_FILES, revision=revision, offline=offline, bars=bars)
    return folder


def _is_of_transformers(folder: Path) -> bool:
    path = folder / "config.json"
    return path.is_file() and "model_type" in read_json(path)


def _files(folder: Path, raw: bool) -> list[Path]:
    """The files that make up the model, and no others that the cache may hold beside them."""
    if _is_of_transformers(folder):
        found = [path for pattern in TRANSFORMERS_FILES for path in folder.glob(pattern)]
        if not any(path.suffix == ".safetensors" for path in found):
            raise WeightsUnavailable(f"{folder} holds no model.safetensors: pickles are not read")
        return found
    parts = find_parts(folder)
    files = [*folder.glob("model_index.json")]
    for name, part in vars(parts).items():
        if part is None:
            continue
        key = {
            "first_stage": "" if part == folder else "vae",
            "unet": "unet",
            "text_encoder": "text_encoder",
        }.get(name)
        files += [path for path in part.iterdir() if path.suffix in (".json", ".txt") and path not in files]
        if key == "unet" and raw:
            files.append(folder / _RAW_UNET)
        elif key is not None:
            files += weight_files(part, key)
    return files
