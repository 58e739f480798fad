"""`config.json` of a net folder (format `ldznet.net/1`): what the net is, and what it was made to be used with.

Reading it needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldznet_cli.errors import ModelError
from ldznet_cli.nets.config import NetConfig
from ldznet_cli.samples.atomic import write_atomically

FORMAT = "ldznet.net/1"
MANIFEST = "config.json"
RAW, EMA = "model.safetensors", "ema.safetensors"

_FIELDS = ("format", "net", "ldm", "geometry", "threshold", "timesteps", "training", "files")
_OPTIONAL = ("tuning",)


@dataclass(frozen=True)
class NetInfo:
    """A net and its surroundings.

    config:      the net's shape
    ldm_name:    the LDM it belongs to, as it was called
    ldm_digests: that LDM's digests by part
    geometry:    how images are brought to the net, {"kind", "size"}
    threshold:   probability from which a pixel belongs to the mask, chosen on validation data
    timesteps:   [low, high) that the LDM's timesteps were drawn from
    training:    free information about how it came about
    files:       SHA-256 of each weight file by its name; written by `save_net`, whatever was there before
    tuning:      what `evaluate --tune-threshold` chose the threshold on and by, `ground_truth` the file's SHA-256;
                 empty (and not in the file) where it came from training
    """

    config: NetConfig
    ldm_name: str
    ldm_digests: dict[str, str | None]
    geometry: dict[str, Any]
    threshold: float
    timesteps: tuple[int, int]
    training: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    tuning: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, as in `config.json`."""
        return {
            "format": FORMAT,
            "net": self.config.to_dict(),
            "ldm": {"name": self.ldm_name, "digests": self.ldm_digests},
            "geometry": self.geometry,
            "threshold": self.threshold,
            "timesteps": list(self.timesteps),
            "training": self.training,
            "files": self.files,
            **({"tuning": self.tuning} if self.tuning else {}),
        }

    @property
    def tuned_on(self) -> str | None:
        """SHA-256 of the ground truth that the threshold was tuned on, None where it was not tuned."""
        found = self.tuning.get("ground_truth")
        return found if isinstance(found, str) else None

    def check_ldm(self, digests: Mapping[str, str | None]) -> None:
        """ModelError when an LDM is not the one the net was made for, part by part, hashes named."""
        for part, expected in self.ldm_digests.items():
            found = digests.get(part)
            if expected is not None and found != expected:
                raise ModelError(
                    f"the net belongs to the LDM {self.ldm_name}, whose {part} is {expected[:12]}; "
                    f"found {(found or 'none')[:12]}: give that LDM, or train a net for this one"
                )


def read_info(folder: Path | str) -> NetInfo:
    """The `config.json` of a net folder.

    ModelError for a folder or file that is missing, text that is no JSON, another format, or fields that are
    missing, unknown or of another type.
    """
    path = Path(folder) / MANIFEST
    data = _read_json(path)
    if data.get("format") != FORMAT:
        raise ModelError(f"{path}: its format is {data.get('format')!r}, expected {FORMAT!r}")
    unknown, missing = (
        sorted(set(data) - {*_FIELDS, *_OPTIONAL}),
        [name for name in _FIELDS if name not in data],
    )
    if unknown:
        raise ModelError(f"{path}: unknown fields {', '.join(unknown)}; was it written by a newer ldznet?")
    if missing:
        raise ModelError(f"{path}: missing fields {', '.join(missing)}")
    config = NetConfig.from_dict(data["net"], f"{path}, net")
    try:
        low, high = data["timesteps"]
        if not 0 <= float(data["threshold"]) <= 1:
            raise ValueError(f"threshold {data['threshold']}")
        digests, files = _object(data["ldm"]["digests"]), _object(data["files"])
        if not all(
            isinstance(digest, str)
            for digest in (*(value for value in digests.values() if value is not None), *files.values())
        ):
            raise ValueError("a hash that is no text")
        return NetInfo(
            config=config,
            ldm_name=str(data["ldm"]["name"]),
            ldm_digests=digests,
            geometry=_object(data["geometry"]),
            threshold=float(data["threshold"]),
            timesteps=(int(low), int(high)),
            training=_object(data["training"]),
            files=files,
            tuning=_object(data.get("tuning", {})),
        )
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ModelError(f"{path}: a field is not of the expected form ({error})") from error


def write_info(folder: Path | str, info: NetInfo) -> None:
    """Writes the `config.json` of a net folder, whole or not at all; its weights stay as they are.

    Raises DiskFull, and LdznetError where it cannot be written.
    """
    text = json.dumps(info.to_dict(), indent=2, ensure_ascii=False) + "\n"
    write_atomically(Path(folder) / MANIFEST, text.encode())


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.40} is no object")
    return value


def _read_json(path: Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise ModelError(
            f"{path.parent}: there is no such folder; `ldznet train` and `ldznet weights import` make some"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path.parent}: no {MANIFEST} in it, so it is not a net's folder") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return data
