"""Whatever the batch and the number of threads, a command gives the same masks: the bundled net on the test images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ldznet_cli.inference import OutputPlan, Task, load_predictor, open_ledger, prompts_of, segment
from ldznet_cli.samples.listing import list_images
from ldznet_cli.samples.masks import read_mask, read_prob

IMAGES = Path(__file__).resolve().parents[2] / "sample_data" / "images"
LEVEL = 2 / 65535
Found = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(out: Path, *, batch: int, count: int) -> Found:
    """The masks and probabilities of a run, by file."""
    torch.set_num_threads(count)
    predictor = load_predictor(batch=batch)
    images = list_images([IMAGES / "cartoon-2023-000005.png", IMAGES / "photo-2023-000000.png"])
    tasks = [Task(image, prompts_of(["tree", "snow"])) for image in images]
    found = {}
    for record in segment(tasks, predictor, open_ledger(predictor, OutputPlan(out))):
        assert record.mask is not None
        assert record.prob is not None
        key = f"{record.image.name} {record.label}"
        found[f"{key} mask"], found[f"{key} prob"] = (
            read_mask(Path(record.mask)),
            read_prob(Path(record.prob)),
        )
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """One phrase at a time, one thread."""
    return run(tmp_path_factory.mktemp("plain"), batch=1, count=1)


@pytest.mark.parametrize(("batch", "count"), [(3, 1), (1, 2)])
def test_batch_and_threads_change_nothing_that_is_seen(
    batch: int, count: int, plain: Found, tmp_path: Path
) -> None:
    other = run(tmp_path, batch=batch, count=count)
    assert len(other) == len(plain) == 8
    assert sum(bool(value.any()) for key, value in plain.items() if key.endswith("mask")) >= 3
    for key, value in plain.items():
        if key.endswith("mask"):
            assert np.array_equal(value, other[key]), key
        else:
            assert np.abs(value - other[key]).max() < LEVEL + 1e-6, key
