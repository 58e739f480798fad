"""The arithmetic: fixed batches, a known number of threads, tensors that training may use."""

from __future__ import annotations

import pytest
import torch

from ldznet_cli.features import compute
from ldznet_cli.features.source import FeatureItem
from ldznet_cli.features.unit import unit_of
from ldznet_cli.samples.images import read_image, to_tensor
from tests.features.conftest import World


def test_threads_are_set_inside_and_given_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), compute.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_arithmetic_is_what_is_recorded(world: World) -> None:
    made = compute.arithmetic(world.ldm, 3)
    assert (made["threads"], made["torch"]) == (3, torch.__version__)
    assert torch.backends.cpu.get_cpu_capability() in made["processor"]


def test_only_leaves_out_whole_batches_and_changes_no_bit(world: World) -> None:
    z = compute.encode_z(world.ldm, to_tensor(read_image(world.images[0].path), world.geometry))
    items = [FeatureItem(phrase, draw) for phrase in ("a", "b", "c", "d", "e") for draw in range(2)]
    requests = unit_of(world.images[0], "ab" * 32, items, world.policy).requests

    def run(only: set[object] | None) -> list[list[tuple[object, dict[int, torch.Tensor]]]]:
        text = lambda prompt: compute.encode_text(world.ldm, prompt)  # noqa: E731
        return list(compute.feature_batches(world.ldm, z, text, requests, 4, only))  # type: ignore[arg-type]

    everything, some = run(None), run({requests[9]})
    assert [len(rows) for rows in everything] == [4, 4, 2]
    assert [[row for row, _ in rows] for rows in some] == [list(requests[8:])]
    for (_, one), (_, other) in zip(everything[2], some[0], strict=True):
        assert all(torch.equal(one[index], other[index]) for index in world.ldm.blocks)


def test_tensors_made_in_inference_mode_become_usable(world: World) -> None:
    with torch.inference_mode():
        z = compute.encode_z(world.ldm, torch.zeros(1, 3, 64, 64))
        assert z.is_inference()
    z = compute._plain(z)
    weight = torch.ones(1, requires_grad=True)
    (z * weight).sum().backward()
    assert weight.grad is not None
