"""docs/cache.md says what the code does."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from ldznet_cli.features.key import FORMAT, Key, canonical, digest
from ldznet_cli.features.manifest import FORMAT as MANIFEST_FORMAT
from ldznet_cli.features.objects import FORMAT as OBJECT_FORMAT
from ldznet_cli.features.objects import to_bytes
from tests.features.test_key import features, text, z

PAGE = (Path(__file__).parents[2] / "docs" / "cache.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("column", "key"), [(1, z()), (2, text()), (3, features())], ids=["z", "text", "features"]
)
def test_the_table_of_fields_is_complete(column: int, key: Key) -> None:
    table = PAGE.partition("| field |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert {row[0].strip("`") for row in rows if row[column]} == set(key)


def test_the_example_is_right() -> None:
    example = re.search(r"^\{.*\}$", PAGE, re.MULTILINE)
    assert example is not None
    assert canonical(text()) == example[0]
    assert f"`{digest(json.loads(example[0]))}`" in PAGE


def test_the_formats_are_named() -> None:
    assert {FORMAT, OBJECT_FORMAT, MANIFEST_FORMAT} <= set(re.findall(r"`(ldznet\.\w+/\d+)`", PAGE))


@pytest.mark.parametrize("count", [1, 1024, 1025, 5000])
def test_the_checksum_can_be_computed_from_the_page_alone(count: int) -> None:
    data = to_bytes(text(), {"batch": 1}, {"text": torch.arange(count, dtype=torch.float32)})
    begin = 8 + int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:begin]), data[begin:]
    about = json.loads(header.pop("__metadata__")["ldznet"])
    expected = about.pop("checksum")
    dump = {"sort_keys": True, "separators": (",", ":")}
    hashed = hashlib.sha256(
        json.dumps({"bytes": len(body), "header": {**about, "tensors": header}}, **dump).encode()  # type: ignore[arg-type]
    )
    for start in range(0, len(body) // 4096 * 4096 + 1, 4096):
        page = np.frombuffer(body[start : start + 4096].ljust(4096, b"\0"), "<u8")
        hashed.update((sum(int(word) for word in page) % 2**64).to_bytes(8, "little"))
    assert hashed.hexdigest() == expected


def test_the_measured_errors_are_those_recorded() -> None:
    root = Path(__file__).parents[2]
    storage = runpy.run_path(str(root / "benchmarks" / "storage.py"))
    recorded = json.loads((root / "benchmarks" / "results" / "storage.json").read_text(encoding="utf-8"))
    _, _, block = PAGE.partition("<!-- storage: `python benchmarks/storage.py --table` -->\n")
    assert block.partition("\n<!-- /storage -->")[0] == storage["table"](recorded)
