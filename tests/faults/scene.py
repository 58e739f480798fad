"""What the faults happen to: images by the dozen, a run over them, and processes that can be killed."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from ldznet_cli.features import Store
from ldznet_cli.features.manifest import FOLDER
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.samples.images import ImageRef
from tests.features.conftest import World, draw_image

WAIT = 120.0  # seconds, on a machine that has other things to do


def world_of(ldm: FrozenLDM, folder: Path, count: int) -> World:
    """`count` images of 64 pixels in `folder`."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        draw_image(folder / f"{number:04}.png", number, 64, 64)
    return World(ldm, [ImageRef(path, path.name) for path in sorted(folder.iterdir())])


def objects_in(cache: Path) -> int:
    """How many objects there are."""
    return sum(1 for _ in cache.glob("objects/??/*.safetensors"))


def is_finished(cache: Path) -> bool:
    """Whether a run went through: its manifest is there."""
    return any(cache.glob(f"{FOLDER}/*.json"))


def forked(task: Callable[[], object]) -> int:
    """Do `task` in a child of this process, which has imported everything already; returns its number."""
    if child := os.fork():
        return child
    code = 1
    try:
        task()
        code = 0
    except BaseException:  # noqa: BLE001 - told where the test's own output is, and by the exit code
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for it: its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill(child: int) -> None:
    """kill -9; it may have ended already."""
    os.kill(child, signal.SIGKILL)


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    last = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < last, "it never came true"
        time.sleep(0.001)


def all_whole(cache: Path) -> bool:
    """Whether every object can be read, to the last bit of its checksum."""
    from ldznet_cli.features.objects import from_bytes

    store = Store(cache)
    for name in store.names():
        from_bytes(bytearray(store.path_of(name).read_bytes()))
    return True
