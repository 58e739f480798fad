"""What a cached value depends on, and nothing else: a key, its canonical form, its SHA-256 (docs/cache.md).

Three kinds of value are cached, each an object of its own:

    z          the first stage's scaled latent         one an image
    text       the text encoder's last hidden states   one a prompt
    features   the UNet's attention blocks' outputs    one an (image, prompt, draw)

A key is a JSON object. Its canonical form has sorted keys, no spaces, ASCII only; its digest is the SHA-256 of that.
Names and paths of images are in no key, so that moving or renaming images changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.ldm.noise import Draw, DrawPolicy
from ldznet_cli.samples.images import Geometry

FORMAT = "ldznet.key/1"
"""Changes when the same key would no longer mean the same value (another resize, another noise generator)."""

Compute = Literal["float32", "float16", "bfloat16"]
Storage = Literal["float32", "float16", "bfloat16", "int8"]
Key = dict[str, Any]

_COMPUTES: dict[str, Compute] = {name: name for name in get_args(Compute)}

_BLOCK = 4096  # bytes; one page, the smallest piece that a disk is likely to lose or to swap


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


def canonical(value: Mapping[str, Any]) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, ASCII. NaN and infinity are refused (ValueError)."""
    return _encode(value)


def digest(key: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(key).encode("ascii")).hexdigest()


def named_differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """In which fields two keys differ, in words."""
    fields = [*expected, *(field for field in found if field not in expected)]
    return ", ".join(
        f"its {field} is {found.get(field, 'missing')!r}, expected {expected.get(field, 'none')!r}"
        for field in fields
        if expected.get(field) != found.get(field)
    )


def checksum(header: Mapping[str, Any], data: bytes | bytearray | memoryview) -> str:
    """A digest of `header` and `data` that any changed bit, and any lost or moved page, changes.

    The data enter as the sums (modulo 2^64) of the little-endian 64-bit words of each page of 4096 bytes, the last
    one filled up with zeros, and as their length. That is twenty times faster than hashing the data themselves,
    which matters because every read checks it; it guards against accidents, not against forgery.
    """
    whole = len(data) // _BLOCK * _BLOCK
    sums = np.frombuffer(data, "<u8", whole // 8).reshape(-1, _BLOCK // 8).sum(axis=1, dtype=np.uint64)
    tail = np.frombuffer(bytes(data[whole:]).ljust(_BLOCK, b"\0"), "<u8")
    hashed = hashlib.sha256(canonical({"header": header, "bytes": len(data)}).encode("ascii"))
    hashed.update(sums.astype("<u8", copy=False))
    hashed.update(int(tail.sum(dtype=np.uint64)).to_bytes(8, "little"))
    return hashed.hexdigest()


@dataclass(frozen=True)
class FeatureSettings:
    """All that decides the values of a cache, but for images, phrases and draws.

    `blocks` are the UNet's attention blocks (empty: z and text only). `compute` is the networks' arithmetic; z and
    text are stored in it, so that nothing is lost; features are stored as `storage`. `ldm` is a name for people and
    stands in no key.
    """

    digests: LdmDigests
    geometry: Geometry
    policy: DrawPolicy
    blocks: tuple[int, ...]
    compute: Compute = "float32"
    storage: Storage = "float16"
    ldm: str = ""

    @classmethod
    def of(
        cls,
        ldm: FrozenLDM,
        geometry: Geometry,
        policy: DrawPolicy,
        *,
        storage: Storage = "float16",
        z_only: bool = False,
    ) -> FeatureSettings:
        """Those of this LDM's values: its parts' digests, its blocks (none with `z_only`), its arithmetic."""
        compute = _COMPUTES[str(ldm.dtype).removeprefix("torch.")]
        return cls(ldm.digests, geometry, policy, () if z_only else ldm.blocks, compute, storage, ldm.name)

    @property
    def counted(self) -> FeatureSettings:
        """These, without what no value depends on: where there are no blocks, the UNet, which may not even be there."""
        if self.blocks:
            return self
        return replace(self, digests=replace(self.digests, unet=None, schedule=None))

    def made_with(self, digests: LdmDigests) -> bool:
        """Whether an LDM with these digests gives the same values."""
        return replace(self, digests=digests).counted == self.counted

    def z_key(self, image: str) -> Key:
        """Of the latent of the image whose bytes have the SHA-256 `image`."""
        return {
            "format": FORMAT,
            "kind": "z",
            "image": image,
            "geometry": asdict(self.geometry),
            "first_stage": self.digests.first_stage,
            "compute": self.compute,
            "storage": self.compute,
        }

    def text_key(self, prompt: str) -> Key:
        """Of the hidden states of `prompt`, the phrase already in its template."""
        return {
            "format": FORMAT,
            "kind": "text",
            "prompt": prompt,
            "text": self.digests.text,
            "compute": self.compute,
            "storage": self.compute,
        }

    def features_key(self, image: str, prompt: str, draw: Draw) -> Key:
        """Of the features of one draw: its timestep and noise stand in the key, not the seed they came from."""
        return {
            "format": FORMAT,
            "kind": "features",
            "image": image,
            "geometry": asdict(self.geometry),
            "first_stage": self.digests.first_stage,
            "text": self.digests.text,
            "unet": self.digests.unet,
            "schedule": self.digests.schedule,
            "prompt": prompt,
            "blocks": list(self.blocks),
            "timestep": draw.timestep,
            "noise": draw.key.hex(),
            "compute": self.compute,
            "storage": self.storage,
        }
