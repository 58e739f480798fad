"""What can be written of an answer: one small class a format, and the seams that they fill (of one mask, one image, a
whole run). Formats with colours are `ldznet_cli.reporting`'s."""

from ldznet_cli.inference.formats.coco import CocoResults
from ldznet_cli.inference.formats.labelme import Labelme
from ldznet_cli.inference.formats.maps import MaskPng, ProbPng
from ldznet_cli.inference.formats.seams import Answer, ImageFormat, MaskFormat, Part, RunFormat, Scene
from ldznet_cli.inference.formats.yolo import Yolo

__all__ = [
    "Answer",
    "CocoResults",
    "ImageFormat",
    "Labelme",
    "MaskFormat",
    "MaskPng",
    "Part",
    "ProbPng",
    "RunFormat",
    "Scene",
    "Yolo",
]
