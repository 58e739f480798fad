"""Numbers of our own, recorded once in tests/goldens/: they hold on every machine, with the reference data or without.

`GOLDENS=rewrite make test` (or `GOLDENS=rewrite pytest tests/ldm tests/nets`) records them anew: only after the
parity tests against the authors' networks have passed on the same code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

GOLDENS = Path(__file__).parent / "goldens"
PARITY = Path(__file__).parents[2] / "shared" / "parity"


def compare(name: str, found: Mapping[str, Tensor], tolerance: float) -> None:
    """Holds `found` against goldens/<name>.safetensors: the same keys, the same shapes, values within `tolerance`."""
    path = GOLDENS / f"{name}.safetensors"
    if os.environ.get("GOLDENS") == "rewrite":
        assert PARITY.exists(), (
            "goldens are rewritten only beside the authors' numbers, which are then tested, too"
        )
        path.parent.mkdir(exist_ok=True)
        save_file({key: value.contiguous() for key, value in found.items()}, path)
    expected = load_file(path)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].shape == value.shape, key
        error = (found[key] - value).abs().max()
        assert error <= tolerance, f"{key} is off by {error:.2g}: {tolerance} is allowed"
