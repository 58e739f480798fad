"""Units: decided by content alone, in batches of one shape."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.errors import PromptError, UsageError
from ldznet_cli.features.source import FeatureItem
from ldznet_cli.features.unit import batches, rows_of_batch, unit_of
from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.images import ImageRef

IMAGE = ImageRef(Path("a.png"), "a.png")
ITEMS = [FeatureItem(phrase, draw) for phrase in ("tree", "lamp", "red cup") for draw in range(3)]


@given(st.permutations(ITEMS), st.sampled_from(["", " ", "\t "]))
def test_order_repetition_and_spaces_mean_nothing(items: list[FeatureItem], space: str) -> None:
    spaced = [FeatureItem(space + item.phrase + space, item.draw) for item in items]
    unit = unit_of(IMAGE, "ab" * 32, items + spaced, DrawPolicy())
    assert unit == unit_of(IMAGE, "ab" * 32, ITEMS, DrawPolicy())
    assert len(unit.requests) == len(ITEMS)


def test_a_request_holds_what_was_drawn() -> None:
    policy = DrawPolicy(seed=5)
    for request in unit_of(IMAGE, "ab" * 32, ITEMS, policy).requests:
        assert request.draw == policy.draw("ab" * 32, request.item.phrase, request.item.draw)
        assert request.prompt == request.draw.template.replace("{}", request.item.phrase)


def test_an_empty_phrase_is_refused() -> None:
    with pytest.raises(PromptError):
        unit_of(IMAGE, "ab" * 32, [FeatureItem("  ")], DrawPolicy())


@given(st.integers(0, 9), st.integers(1, 12))
def test_batches_have_one_shape_and_miss_nothing(count: int, most: int) -> None:
    requests = unit_of(IMAGE, "ab" * 32, ITEMS, DrawPolicy()).requests[:count]
    made = list(batches(requests, most))
    assert {len(rows) for rows in made} <= {rows_of_batch(count, most)}
    assert rows_of_batch(count, most) <= most
    assert tuple(row for rows in made for row in rows)[:count] == requests
    assert len(made) == -(-count // most)
    assert sum(map(len, made)) - count < max(len(made), 1)  # what is filled up


@pytest.mark.parametrize(
    ("count", "most", "rows"), [(4, 8, 4), (8, 8, 8), (9, 8, 5), (17, 8, 6), (1, 8, 1), (3, 1, 1)]
)
def test_a_batch_is_as_small_as_the_number_of_batches_allows(count: int, most: int, rows: int) -> None:
    assert rows_of_batch(count, most) == rows


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(UsageError, match="--batch"):
        list(batches((), 0))
