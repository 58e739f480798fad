"""Do these tensors fit this module, key for key and shape for shape? The one place that says what does not."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ldznet_cli.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor by its key."""
    return {key: tuple(value.shape) for key, value in tensors.items()}


def check_fit(expected: Shapes, found: Shapes, where: str) -> None:
    """ModelError for the first key that is missing, misshapen or unknown; with the shapes expected and found."""
    for key, shape in expected.items():
        if key not in found:
            others = sum(other not in found for other in expected) - 1
            more = f" (and {others} more)" if others else ""
            raise ModelError(
                f"{where}: missing key {key} of shape {shape}{more}; is this the right file for the net?"
            )
        if tuple(found[key]) != shape:
            raise ModelError(f"{where}: {key} has shape {tuple(found[key])}, expected {shape}")
    unknown = [key for key in found if key not in expected]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise ModelError(
            f"{where}: unknown key {unknown[0]}{more}; the net of this configuration has no such part"
        )
