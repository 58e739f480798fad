"""What a model is, in hashes: one for each part, over its configuration and the bytes of its weights."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ldznet_cli.config import user_cache
from ldznet_cli.errors import ModelError, WeightsUnavailable
from ldznet_cli.ldm.folder import LdmParts, find_parts, has_weights, read_json, weight_files
from ldznet_cli.ldm.noise import schedule_fields
from ldznet_cli.ldm.record import sha256_of

_SAYS_NOTHING = {
    "_diffusers_version",
    "_name_or_path",
    "name_or_path",
    "dtype",
    "torch_dtype",
    "transformers_version",
}
"""Fields that libraries write beside the configuration and that no value depends on."""

_DECODER = ("decoder.", "post_quant_conv.")
_DECODES = {
    "decoder_block_out_channels",
    "num_decoder_blocks",
    "up_block_types",
    "upsample_fn",
    "upsampling_scaling_factor",
    "use_post_quant_conv",
}
"""A first stage's weights and fields that z does not depend on."""

_SETTLED_SECONDS = 2.0
"""A file changed more recently could change again in the same tick of the clock: its hash is not remembered."""


@dataclass(frozen=True)
class LdmDigests:
    """SHA-256 of each part, hexadecimal; None where the model has no such part."""

    first_stage: str
    text: str | None
    unet: str | None
    schedule: str | None

    @cached_property
    def combined(self) -> str:
        """One hash for the whole model."""
        return _sha256(asdict(self))

    def to_dict(self) -> dict[str, str | None]:
        """The four hashes under their names."""
        return asdict(self)


def digests_of(folder: Path) -> LdmDigests:
    """The digests of the model in `folder`.

    Weight files are read once: their hashes are remembered in the user's cache by path, size and time.
    Raises WeightsUnavailable, ModelError.
    """
    return digests_of_parts(find_parts(folder))


def digests_of_parts(parts: LdmParts, *, unet_needed: bool = True) -> LdmDigests:
    """As `digests_of`, of parts already found. Moving or renaming folders changes nothing.

    Unless `unet_needed`, a UNet whose weights were not fetched has none.
    """
    text = unet = schedule = None
    if parts.text_encoder and parts.tokenizer:
        text = _sha256([_tokenizer(parts.tokenizer), _part(parts.text_encoder, "text_encoder")])
    if parts.unet and (unet_needed or has_weights(parts.unet, "unet")):
        unet = _part(parts.unet, "unet")
    if parts.scheduler:
        schedule = _sha256(schedule_fields(read_json(parts.scheduler / "scheduler_config.json")))
    return LdmDigests(_first_stage(parts.first_stage), text, unet, schedule)


def _first_stage(folder: Path) -> str:
    """Of the encoder alone: z does not depend on how it would be decoded."""
    config = _meaningful(read_json(folder / "config.json"))
    encoder = {key: value for key, value in config.items() if key not in _DECODES}
    files = sorted(_remembered(path, "encoder", _hash_encoder) for path in weight_files(folder, "vae"))
    return _sha256({"config": encoder, "weights": files})


def _part(folder: Path, part: str) -> str:
    files = sorted(file_digest(path) for path in weight_files(folder, part))
    return _sha256({"config": _meaningful(read_json(folder / "config.json")), "weights": files})


def _tokenizer(folder: Path) -> dict[str, Any]:
    try:
        texts = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))}
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: its texts cannot be read ({error}); fetch it again") from error
    return texts | {path.name: _meaningful(read_json(path)) for path in sorted(folder.glob("*.json"))}


def _meaningful(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _SAYS_NOTHING}


def _sha256(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, remembered in the user's cache while path, size and times stay the same."""
    return _remembered(path, "file", sha256_of)


def _remembered(path: Path, what: str, compute: Callable[[Path], str]) -> str:
    path = path.resolve()
    stat = path.stat()
    times = [stat.st_mtime_ns, stat.st_ctime_ns]
    identity = {"path": str(path), "what": what, "size": stat.st_size, "times_ns": times}
    note = user_cache() / "digests" / f"{hashlib.sha256(f'{what}|{path}'.encode()).hexdigest()[:32]}.json"
    remembered = _recall(note)
    if remembered and {key: remembered.get(key) for key in identity} == identity:
        return str(remembered["sha256"])
    digest = compute(path)
    if time.time() - max(stat.st_mtime, stat.st_ctime) > _SETTLED_SECONDS:
        _remember(note, {**identity, "sha256": digest})
    return digest


def _hash_encoder(path: Path) -> str:
    """Of a safetensors file's tensors, by name, but for the decoder's: name, type, shape and bytes of each."""
    with path.open("rb") as file:
        try:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
            tensors = sorted(item for item in header.items() if not item[0].startswith(_DECODER))
            hashed = hashlib.sha256()
            for name, tensor in tensors:
                if name == "__metadata__":
                    continue
                begin, end = tensor["data_offsets"]
                file.seek(8 + size + begin)
                hashed.update(json.dumps([name, tensor["dtype"], tensor["shape"]]).encode())
                hashed.update(file.read(end - begin))
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            MemoryError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise WeightsUnavailable(
                f"{path} is truncated or no safetensors file ({error}): fetch it again"
            ) from error
    return hashed.hexdigest()


def _recall(note: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("sha256"), str) else None


def _remember(note: Path, value: dict[str, Any]) -> None:
    """Without a writable cache folder each start reads the weights anew, which is slow but right."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=note.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump(value, file)
        Path(file.name).replace(note)
    except OSError:
        return
