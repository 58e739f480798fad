"""Images put to a predictor as a job for an engine: in this process, or on workers with a predictor each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import torch
from PIL import Image

from ldznet_cli.engines import Engine
from ldznet_cli.errors import ModelError
from ldznet_cli.inference.asking import ask
from ldznet_cli.inference.loading import Loaded
from ldznet_cli.inference.predictor import Predictor, PredictorIdentity, ProbMap
from ldznet_cli.inference.prompts import Prompt


@dataclass(frozen=True)
class Asked:
    """A task with the answers of the predictor: one for each prompt that needs any."""

    loaded: Loaded
    maps: Mapping[Prompt, ProbMap] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What a worker is given: an image with its name, and the prompts that are put to it; none, and it has no work."""

    image: Image.Image | None = None
    sha256: str = ""
    prompts: Sequence[Prompt] = ()


@dataclass(frozen=True)
class Asking:
    """A job (engines.py): each worker has a predictor of its own, by `load`, and computes with `threads` of PyTorch,
    with as many as it would anyway when None. To be sent to other machines `load` must be what can be pickled, and
    gives what is `expected` there, where that is said: records name its weights."""

    load: Callable[[], Predictor]
    threads: int | None = None
    expected: PredictorIdentity | None = None

    def __call__(self) -> Callable[[Iterable[Question]], Generator[list[ProbMap], None, None]]:
        """Raises ModelError when the predictor is another one here."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        predictor = self.load()
        if self.expected is not None and _weights(predictor.identity) != _weights(self.expected):
            raise ModelError(
                f"{predictor.identity.model} holds other weights on a worker than where the run was begun: "
                f"{_weights(predictor.identity)}, expected {_weights(self.expected)}; give every worker the same files"
            )
        return partial(_answers, predictor)


def _weights(identity: PredictorIdentity) -> tuple[str, str | None]:
    """The hashes by which they are known."""
    return identity.model_digest, identity.ldm_digest


def _answers(predictor: Predictor, questions: Iterable[Question]) -> Generator[list[ProbMap], None, None]:
    for one in questions:
        yield [] if one.image is None else ask(predictor, one.image, one.sha256, one.prompts)


def asked(
    job: Asking, engine: Engine, images: Iterable[Loaded], every_prompt: bool = False
) -> Generator[Asked, None, None]:
    """Each image with the answers to the prompts that are missing of it; with `every_prompt` to all of them, as its
    neighbours in time need. An image of which nothing is asked goes the same way, so that all keep their order."""
    waiting: deque[tuple[Loaded, Question]] = deque()

    def questions() -> Iterator[Question]:
        for loaded in images:
            waiting.append((loaded, _question(loaded, every_prompt)))
            yield waiting[-1][1]

    with closing(engine.run(job, questions())) as answers:
        for maps in answers:
            loaded, question = waiting.popleft()
            yield Asked(loaded, dict(zip(question.prompts, maps, strict=True)))


def _question(loaded: Loaded, every_prompt: bool) -> Question:
    prompts = loaded.task.prompts if every_prompt else loaded.missing
    if loaded.image is None or loaded.sha256 is None or not prompts:
        return Question()
    return Question(loaded.image, loaded.sha256, tuple(prompts))
