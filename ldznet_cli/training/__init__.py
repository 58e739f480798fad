"""Training a net from cached or live features."""

from ldznet_cli.training.config import preset

__all__ = ["TrainConfig", "TrainEvent", "preset", "train"]
