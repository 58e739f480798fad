"""Jobs for real workers, which import this file: it is light, so that they start at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ldznet_cli.errors import CacheError


def squares(items: Iterable[int]) -> Generator[tuple[int, int], None, None]:
    """Each with the process that computed it. 13 kills that process, a negative one is an error."""
    for item in items:
        if item == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        if item < 0:
            raise CacheError(f"no root: {item}")
        time.sleep(0.01)
        yield item * item, os.getpid()


def squaring() -> Callable[[Iterable[int]], Generator[tuple[int, int], None, None]]:
    """The job."""
    return squares


def load_and_tell(folder: Path, notes: Path) -> Any:
    """The LDM; leaves a file in `notes` named by this process, with the Ray node that it is on."""
    import ray

    from ldznet_cli.ldm import FrozenLDM

    ldm = FrozenLDM.load(folder)
    (notes / str(os.getpid())).write_text(ray.get_runtime_context().get_node_id())
    return ldm


def loading(folder: Path, notes: Path) -> Callable[[], Any]:
    """`load_and_tell` as something that can be sent to a worker."""
    return partial(load_and_tell, folder, notes)
