"""Probabilities averaged over time, so that masks do not flicker from frame to frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat

import numpy as np

from ldznet_cli.inference.clips import clip_of
from ldznet_cli.inference.predictor import ProbMap
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.inference.questions import Asked


def smoothed(frames: Iterable[Asked], reach: int) -> Iterator[Asked]:
    """Each with its probabilities averaged over itself and the `reach` frames before and after it in its clip.

    Those that are not there, or not of its shape, do not count: at the ends of a clip the mean is over fewer. It is
    the plain mean, in float64, in time's order, whatever was done before: the same bytes however often a run was
    interrupted.
    """
    past: deque[Asked] = deque(maxlen=reach)
    coming: deque[Asked | None] = deque()
    for frame in chain(frames, repeat(None, reach)):
        coming.append(frame)
        if len(coming) <= reach:
            continue
        now = coming.popleft()
        if now is None:  # fewer frames than `reach`
            continue
        near = [other for other in (*past, now, *coming) if other is not None]
        clip = clip_of(now.loaded.task.image)
        yield _averaged(now, [other for other in near if clip_of(other.loaded.task.image) == clip])
        past.append(replace(now, loaded=replace(now.loaded, image=None)))


def _averaged(now: Asked, near: Sequence[Asked]) -> Asked:
    return (
        now
        if len(near) == 1
        else replace(now, maps={prompt: _mean(prompt, now, near) for prompt in now.maps})
    )


def _mean(prompt: Prompt, now: Asked, near: Sequence[Asked]) -> ProbMap:
    own = now.maps[prompt]
    maps = [other.maps[prompt] for other in near if prompt in other.maps]
    fitting = [found.prob.astype(np.float64) for found in maps if found.geometry == own.geometry]
    return ProbMap(np.mean(fitting, axis=0).astype(np.float32), own.geometry)
