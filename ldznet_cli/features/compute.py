"""The frozen LDM's arithmetic on one unit, the same for live features and for the cache."""

from __future__ import annotations

import platform
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ldznet_cli.features.unit import Request, batches, rows_of_batch
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.tensors import Pixels


def encode_z(ldm: FrozenLDM, pixels: Pixels) -> Tensor:
    """(1, 3, H, W) pixels in [-1, 1] → (4, h, w), the scaled mode of the posterior, in the LDM's dtype."""
    return _plain(ldm.encode_image(pixels.to(ldm.device, ldm.dtype))[0].to(ldm.dtype))


def encode_text(ldm: FrozenLDM, prompt: str) -> Tensor:
    """(L, D) hidden states, in the LDM's dtype.

    Always in a batch of one: a prompt is shared by many images, so no neighbour may change its last bit.
    """
    return _plain(ldm.encode_text([prompt])[0].to(ldm.dtype))


def feature_batches(
    ldm: FrozenLDM,
    z: Tensor,
    text_of: Callable[[str], Tensor],
    requests: Sequence[Request],
    batch: int,
    only: Container[Request] | None = None,
) -> Iterator[list[tuple[Request, dict[int, Tensor]]]]:
    """For each batch of a unit's `requests`: every request with {block: (C, h', w')}, on the LDM's device.

    `z` is the image's (4, h, w); `text_of` gives a prompt's (L, D). Batches that hold none of `only` are passed over;
    the others are run as they are, so that no value depends on what is passed over.
    """
    z = z.to(ldm.device, ldm.dtype)
    size = rows_of_batch(len(requests), batch)
    for start, rows in zip(range(0, len(requests), size), batches(requests, batch), strict=True):
        if only is not None and not any(row in only for row in rows):
            continue
        text = torch.stack([text_of(row.prompt).to(ldm.device, ldm.dtype) for row in rows])
        noise = torch.stack([row.draw.noise(tuple(z.shape)) for row in rows]).to(ldm.device)
        timesteps = torch.tensor([row.draw.timestep for row in rows], device=ldm.device)
        found = ldm.features(z.expand(len(rows), *z.shape), text, timesteps, noise)
        blocks = {index: _plain(value) for index, value in found.items()}
        asked = requests[start : start + size]
        yield [(row, {i: blocks[i][n] for i in sorted(blocks)}) for n, row in enumerate(asked)]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside, and with as many as before after it: their number changes the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def processor(device: torch.device) -> str:
    """The kind of processor, as far as the last bit of a value depends on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return device.type


def arithmetic(ldm: FrozenLDM, count: int) -> dict[str, Any]:
    """What else the last bit depends on, but for the batch: recorded with every object."""
    return {"threads": count, "processor": processor(ldm.device), "torch": torch.__version__}


def default_threads() -> int:
    """As many threads as PyTorch would use (the environment's OMP_NUM_THREADS, else this machine's cores)."""
    return torch.get_num_threads()


def _plain(value: Tensor) -> Tensor:
    """An ordinary tensor, which training may use: autograd refuses those that were made in inference mode."""
    return value.clone() if value.is_inference() else value.detach()
