"""The unit of work: one image with all its phrases and draws, in an order that their content alone decides.

Live and cached features are computed from units, in batches of one shape, which the unit's size decides and each
object records; the last one is filled up. That makes them equal to the last bit. (Batches of other shapes agree to
about 1e-6 in float32.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ldznet_cli.errors import UsageError
from ldznet_cli.features.source import FeatureItem
from ldznet_cli.ldm.noise import Draw, DrawPolicy
from ldznet_cli.samples.images import ImageRef
from ldznet_cli.samples.templates import prompt_of

BATCH = 8
"""Rows of a batch through the UNet at most, when nothing else is asked for."""


@dataclass(frozen=True)
class Request:
    """One item with everything that was drawn for it on one image."""

    item: FeatureItem
    prompt: str
    draw: Draw


@dataclass(frozen=True)
class Unit:
    """One image, known by the SHA-256 of its bytes, and what is asked about it: each request once, in order."""

    image: ImageRef
    sha256: str
    requests: tuple[Request, ...]


def unit_of(image: ImageRef, sha256: str, items: Iterable[FeatureItem], policy: DrawPolicy) -> Unit:
    """The unit of an image's items, whatever their order and however often each is named.

    Raises PromptError for an empty phrase.
    """
    unique = sorted({item.clean() for item in items})
    return Unit(image, sha256, tuple(_request(sha256, item, policy) for item in unique))


def rows_of_batch(count: int, most: int) -> int:
    """The rows of each batch when `count` go in as few batches as `most` allows, all of one size."""
    if most < 1:
        raise UsageError(f"--batch must be at least 1, found {most}")
    return -(-count // -(-count // most)) if count else most


def batches(requests: Sequence[Request], most: int) -> Iterator[tuple[Request, ...]]:
    """`requests` in batches of `rows_of_batch`: the last one is filled up with its first request, again and again."""
    size = rows_of_batch(len(requests), most)
    for start in range(0, len(requests), size):
        part = tuple(requests[start : start + size])
        yield part + part[:1] * (size - len(part))


def _request(sha256: str, item: FeatureItem, policy: DrawPolicy) -> Request:
    draw = policy.draw(sha256, item.phrase, item.draw)
    return Request(item, prompt_of(item.phrase, draw.template), draw)
