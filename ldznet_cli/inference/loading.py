"""An image's way to the predictor: what is there of it already, and its pixels, read while others are at work."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from ldznet_cli.errors import ImageError
from ldznet_cli.inference.clips import clip_of
from ldznet_cli.inference.ledger import Ledger
from ldznet_cli.inference.prompts import Prompt, Task
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.reading import ImageReader
from ldznet_cli.samples.record import Record

AHEAD = 2
"""Images that are read and decoded while the one before them is at work: more would only fill the memory."""


@dataclass(frozen=True)
class Loaded:
    """A task with what is there already, and with the image (None: nobody needs it), or why it cannot be read.

    One that is not `chosen` is only read for the sake of its neighbours in time, whose digest is `window`.
    """

    task: Task
    done: dict[Prompt, Record]
    sha256: str | None = None
    window: str | None = None
    image: Image.Image | None = None
    error: str | None = None
    chosen: bool = True

    @property
    def missing(self) -> list[Prompt]:
        """What is to be made, where it is chosen."""
        return [prompt for prompt in self.task.prompts if prompt not in self.done]


class Loading:
    """The tasks' images in order, each with what the ledger says of it.

    With `reach` an image's answers depend on the so many before and after it in its clip: it is read, too, where it is
    done itself and one of those is not.
    """

    def __init__(self, tasks: Sequence[Task], ledger: Ledger, reach: int = 0) -> None:
        self._tasks, self._ledger, self._reach = tasks, ledger, reach
        self._reader = ImageReader()
        # Neighbours ask for the same again and again.
        self._sha256 = lru_cache(4 * AHEAD * (2 * reach + 1))(self._hashed)
        self._done = lru_cache(4 * AHEAD * (2 * reach + 1))(self._found)

    @property
    def chosen(self) -> int:
        """How many of the tasks are to be told of."""
        return sum(map(self._chosen, range(len(self._tasks))))

    def images(self) -> Generator[Loaded, None, None]:
        """Each task loaded, in order; the next ones are being read meanwhile, frames of a video by one thread."""
        waiting: deque[Future[Loaded]] = deque()
        films = any(task.image.frame is not None for task in self._tasks)
        pool = ThreadPoolExecutor(1 if films else AHEAD, "read")
        try:
            for index in range(len(self._tasks)):
                if any(map(self._chosen, self._window(index))):
                    waiting.append(pool.submit(self._load, index))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._reader.close()

    def _load(self, index: int) -> Loaded:
        """In a reader's thread."""
        task, chosen = self._tasks[index], self._chosen(index)
        try:
            sha256, window, done = self._sha256(index), self._digest(index), self._done(index)
            image = self._reader.read(task.image) if any(map(self._wanted, self._window(index))) else None
            return Loaded(task, done, sha256, window, image, chosen=chosen)
        except ImageError as error:
            return Loaded(task, {}, error=str(error), chosen=chosen)

    def _window(self, index: int) -> list[int]:
        """The tasks that the answers of this one depend on, itself among them."""
        if not self._reach:
            return [index]
        clip = clip_of(self._tasks[index].image)
        near = range(max(0, index - self._reach), min(len(self._tasks), index + self._reach + 1))
        return [other for other in near if clip_of(self._tasks[other].image) == clip]

    def _chosen(self, index: int) -> bool:
        only = self._ledger.only
        return only is None or self._tasks[index].image.name in only

    def _wanted(self, index: int) -> bool:
        return self._chosen(index) and len(self._done(index)) < len(self._tasks[index].prompts)

    def _hashed(self, index: int) -> str:
        return self._reader.sha256(self._tasks[index].image)

    def _found(self, index: int) -> dict[Prompt, Record]:
        task = self._tasks[index]
        try:
            return self._ledger.done(task.image, task.prompts, self._sha256(index), self._digest(index))
        except ImageError:
            return {}

    def _digest(self, index: int) -> str | None:
        """What names the contents of the window: another frame in it, and the answer is another one."""
        if not self._reach:
            return None
        names = (self._name(self._tasks[other].image, other) for other in self._window(index))
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def _name(self, image: ImageRef, index: int) -> str:
        try:
            return f"{self._sha256(index)} {image.frame.index if image.frame else ''}"
        except ImageError:
            return "unreadable"
