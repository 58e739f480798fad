"""Exit codes are a promise."""

from __future__ import annotations

import pytest

from ldznet_cli import errors
from ldznet_cli.cli import main


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


@pytest.mark.parametrize("value", ["x" * 5000, "many words " * 500])
def test_a_long_value_is_cut_in_the_middle(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What went wrong, and what to do, are at its two ends."""
    message = f"gt.json: category {value} is not known: name one of them"
    error = errors.UsageError(message)
    assert len(str(error)) < 1000
    assert str(error).startswith(f"gt.json: category {value[:400]}")
    assert str(error).endswith("is not known: name one of them")
    assert str(errors.UsageError("short")) == "short"
    assert main(["segment", "in", "--prompt", "x", f"--{'y' * 5000}"]) == 2  # the parser's own words
    err = capsys.readouterr().err
    assert len(err) < 1100
    assert err.count("\n") == 1


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
