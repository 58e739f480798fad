"""The miniature world's scenes: `render(style, seed)` gives an image with the exact mask of everything in it."""

from ldznet_cli.miniature.scenes.compose import render
from ldznet_cli.miniature.scenes.dataset import write_dataset
from ldznet_cli.miniature.scenes.objects import OBJECTS
from ldznet_cli.miniature.scenes.palette import COLORS
from ldznet_cli.miniature.scenes.scene import RENDERER_VERSION, SIZE, STYLES, Region, Scene, scene_seed
from ldznet_cli.miniature.scenes.stuff import BACKDROPS, GROUNDS
from ldznet_cli.miniature.scenes.words import Phrase, absent_phrases, caption, phrases

__all__ = [
    "BACKDROPS",
    "COLORS",
    "GROUNDS",
    "OBJECTS",
    "RENDERER_VERSION",
    "SIZE",
    "STYLES",
    "Phrase",
    "Region",
    "Scene",
    "absent_phrases",
    "caption",
    "phrases",
    "render",
    "scene_seed",
    "write_dataset",
]
