"""Faults are put to the world that the features' own tests have: a tiny LDM and a few drawn images."""

from tests.features.conftest import files, ldm

__all__ = ["files", "ldm"]
