"""Masks from images and phrases: what predicts, how a map becomes a mask, and a run over many images."""

from ldznet_cli.inference.api import Mask, Segmenter, load_predictor
from ldznet_cli.inference.clipseg import ClipSegPredictor
from ldznet_cli.inference.ledger import Ledger
from ldznet_cli.inference.nets import NetPredictor
from ldznet_cli.inference.outputs import OutputPlan
from ldznet_cli.inference.predictor import ColourPredictor, Predictor, PredictorIdentity, ProbMap
from ldznet_cli.inference.prompts import Prompt, Task, prompts_of, prompts_of_phrases
from ldznet_cli.inference.segment import open_ledger, segment

__all__ = [
    "ClipSegPredictor",
    "ColourPredictor",
    "Ledger",
    "Mask",
    "NetPredictor",
    "OutputPlan",
    "Predictor",
    "PredictorIdentity",
    "ProbMap",
    "Prompt",
    "Segmenter",
    "Task",
    "load_predictor",
    "open_ledger",
    "prompts_of",
    "prompts_of_phrases",
    "segment",
]
