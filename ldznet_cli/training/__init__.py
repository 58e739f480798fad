"""Training a net from cached or live features."""

from ldznet_cli.training.config import TrainConfig, preset
from ldznet_cli.training.loop import TrainEvent, train

__all__ = ["TrainConfig", "TrainEvent", "preset", "train"]
