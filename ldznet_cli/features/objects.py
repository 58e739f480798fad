"""One object of the cache as bytes: an ordinary safetensors file whose metadata say what it is.

The metadata hold one entry, `ldznet`, because safetensors writes several in random order. It is canonical JSON:

    format     "ldznet.object/1"
    key        the key that the object answers to (features/key.py)
    made       how it was computed: batch, threads, processor, version of PyTorch
    checksum   of all the above, the tensors' names, types and shapes, and the data
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from operator import index
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from ldznet_cli.errors import NotFinite
from ldznet_cli.features import key as keys
from ldznet_cli.features.key import Key

FORMAT = "ldznet.object/1"
_ENTRY = "ldznet"
_LENGTH = 8  # bytes of the little-endian number in front that says how long the header is
LONGEST_HEADER = 1 << 20
_ALIGNMENT = 8  # of the data, so that any dtype can be read in place
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

assert sys.byteorder == "little", "safetensors files are read in place, which a big-endian machine cannot do"


class Span(NamedTuple):
    """Where one tensor lies in a file whose data `begin` at that byte; `first` and `strides` count its values."""

    name: str
    dtype: torch.dtype
    begin: int
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


Layout = tuple[Span, ...]


@dataclass(frozen=True)
class CachedObject:
    """What one file of the cache holds, and where in it. `tensors` are on the CPU, in the dtype they are stored in."""

    key: Key
    made: dict[str, Any]
    tensors: dict[str, Tensor]
    layout: Layout = ()


def to_bytes(key: Key, made: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The file of an object. The same arguments give the same bytes.

    Raises NotFinite when a value is not finite: the storage dtype may be too narrow for it.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(torch.stack(value.aminmax())).all()):
            what = f"the {key['kind']} of image {str(key.get('image', '-'))[:12]}, prompt {key.get('prompt', '-')!r}"
            advice = "a wider --storage-dtype (bfloat16, float32) or --dtype may hold it"
            raise NotFinite(f"{what}: tensor {name} is not finite in {str(value.dtype)[6:]}; {advice}")
    bare = save(dict(tensors))
    start = _LENGTH + int.from_bytes(bare[:_LENGTH], "little")
    table, data = json.loads(bare[_LENGTH:start]), memoryview(bare)[start:]
    about = {"format": FORMAT, "key": dict(key), "made": dict(made)}
    about["checksum"] = keys.checksum({**about, "tensors": table}, data)
    header = keys.canonical({"__metadata__": {_ENTRY: keys.canonical(about)}, **table}).encode("ascii")
    header += b" " * (-len(header) % _ALIGNMENT)
    return b"".join([len(header).to_bytes(_LENGTH, "little"), header, data])


def header_of(start: bytes | bytearray | memoryview) -> tuple[int, dict[str, Any]]:
    """(where the data begin, the header) of a file that begins with `start`, which must reach to the header's end.

    Raises ValueError when there is no whole header.
    """
    length = int.from_bytes(start[:_LENGTH], "little")
    if len(start) < _LENGTH or length > LONGEST_HEADER or len(start) < _LENGTH + length:
        raise ValueError("its header is cut off")
    header = _json(bytes(start[_LENGTH : _LENGTH + length]))
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        raise ValueError("its header is not one of ours")
    return _LENGTH + length, header


def about_of(header: Mapping[str, Any]) -> dict[str, Any]:
    """What the metadata of a header say. Raises ValueError when they are not ours."""
    about = _json(str(header["__metadata__"].get(_ENTRY)))
    if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("key"), dict):
        raise ValueError(f"it is not a {FORMAT}")
    return about


def size_of(begin: int, header: Mapping[str, Any]) -> int:
    """The bytes that a whole file with this header has. Raises ValueError for a header that is not one."""
    try:
        return begin + max((index(entry["data_offsets"][1]) for _, entry in _entries(header)), default=0)
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("its table of tensors is broken") from error


def from_bytes(data: bytearray | memoryview) -> CachedObject:
    """The object of a whole file; the tensors share `data`'s memory, which may be written to.

    Raises ValueError, with the reason, for anything that `to_bytes` did not write just so.
    """
    begin, header = header_of(data)
    if len(data) != size_of(begin, header):
        raise ValueError(f"it has {len(data)} bytes, its header says {size_of(begin, header)}")
    about = about_of(header)
    check = about.pop("checksum", None)
    table = dict(_entries(header))
    if check != keys.checksum({**about, "tensors": table}, memoryview(data)[begin:]):
        raise ValueError("its checksum does not fit: bits have changed since it was written")
    layout = tuple(_span(begin, name, entry) for name, entry in table.items())
    return CachedObject(about["key"], about["made"], tensors_at(layout, data), layout)


def tensors_at(layout: Layout, data: bytearray | memoryview) -> dict[str, Tensor]:
    """The tensors of a file's bytes, whose memory they share. Nothing is checked."""
    found, wholes = {}, dict[torch.dtype, Tensor]()
    for name, dtype, begin, first, shape, strides in layout:
        if dtype not in wholes:
            count = (len(data) - begin) // dtype.itemsize
            wholes[dtype] = torch.frombuffer(data, dtype=dtype, offset=begin, count=count)
        found[name] = wholes[dtype].as_strided(shape, strides, first)
    return found


def _json(text: str | bytes | bytearray) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its header is nested too deep") from error


def _entries(header: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, entry) for name, entry in header.items() if name != "__metadata__"]


def _span(begin: int, name: str, entry: Mapping[str, Any]) -> Span:
    dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
    strides = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Span(name, dtype, begin, entry["data_offsets"][0] // dtype.itemsize, shape, strides)
