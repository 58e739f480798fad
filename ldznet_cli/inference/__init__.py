"""Masks from images and phrases: what predicts, how a map becomes a mask, and a run over many images."""

from ldznet_cli.inference.answering import Finish
from ldznet_cli.inference.api import Segmenter, load_predictor
from ldznet_cli.inference.clipseg import ClipSegPredictor
from ldznet_cli.inference.halving import Halving
from ldznet_cli.inference.ledger import Ledger
from ldznet_cli.inference.outputs import OutputPlan
from ldznet_cli.inference.predictor import ColourPredictor, Predictor, PredictorIdentity, ProbMap
from ldznet_cli.inference.prompts import Task, labels_of, prompts_of, prompts_of_phrases
from ldznet_cli.inference.segment import open_ledger, segment

__all__ = [
    "ClipSegPredictor",
    "ColourPredictor",
    "Finish",
    "Halving",
    "Ledger",
    "OutputPlan",
    "Predictor",
    "PredictorIdentity",
    "ProbMap",
    "Segmenter",
    "Task",
    "labels_of",
    "load_predictor",
    "open_ledger",
    "prompts_of",
    "prompts_of_phrases",
    "segment",
]
