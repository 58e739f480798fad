"""Exit codes are a promise."""

from __future__ import annotations

import pytest

from ldznet_cli import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.LdznetError, 1),
        (errors.UsageError, 2),
        (errors.PromptError, 2),
        (errors.SomeItemsFailed, 3),
        (errors.NothingToDo, 4),
        (errors.WeightsUnavailable, 5),
        (errors.Interrupted, 130),
        (errors.PipeClosed, 141),
        (errors.ImageError, 1),
        (errors.AnnotationError, 1),
        (errors.CacheError, 1),
        (errors.ModelError, 1),
        (errors.DiskFull, 1),
        (errors.EngineError, 1),
    ],
)
def test_exit_codes(error: type[errors.LdznetError], code: int) -> None:
    assert issubclass(error, errors.LdznetError)
    assert error.exit_code == code


def test_every_error_is_in_the_tree_that_the_docstring_draws() -> None:
    names = [name for name, value in vars(errors).items() if isinstance(value, type)]
    assert all(name in (errors.__doc__ or "") for name in names)


def test_a_cache_mismatch_says_which_field() -> None:
    error = errors.CacheMismatch("timesteps", (300, 500), (0, 1000))
    assert (
        str(error)
        == "the cache differs in timesteps: expected (300, 500), found (0, 1000); use another --cache"
    )
    assert isinstance(error, errors.CacheError)
