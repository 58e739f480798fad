"""A CLIP of the miniature's size, pretrained on the very images and captions that the LDM saw: a discriminative rival.

In-batch InfoNCE, symmetrical, with a learned temperature (Radford et al., 2021); nothing is augmented, as for the LDM.
Each shard contrasts the pairs of its own part of the batch.
"""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from ldznet_cli.miniature.autoencoder import to_pixels
from ldznet_cli.miniature.data import Images, training_images
from ldznet_cli.miniature.descent import Descent, StepRecord
from ldznet_cli.miniature.events import BuildEvent, Events
from ldznet_cli.miniature.ldm_recipe import DescentRecipe, TextRecipe
from ldznet_cli.miniature.logbook import Logbook, entries, training_seconds
from ldznet_cli.miniature.provenance import finished
from ldznet_cli.miniature.recipe import DataRecipe
from ldznet_cli.miniature.scenes import SIZE
from ldznet_cli.miniature.scenes.scene import generator
from ldznet_cli.miniature.shards import Metrics

GREATEST_SCALE = math.log(100)
"""Of the logarithm of the inverse temperature, as in CLIP."""


@dataclass(frozen=True)
class ImageTowerRecipe:
    """A small ViT: CLIP's patches of 16 pixels, which make the 8x8 grid that the LDM attends on.

    So a CLIP of 3.4 million parameters learns from as many samples a second as the LDM of 3.8 (60 and 64 on a core).
    """

    patch: int = 16
    width: int = 192
    layers: int = 6
    heads: int = 6


def _descent() -> DescentRecipe:
    return DescentRecipe(
        seed=5,
        steps=20_000,
        batch=128,
        learning_rate=1e-3,
        warmup_steps=200,
        decay_steps=1_000,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        ema=0.998,
    )


@dataclass(frozen=True)
class ContrastiveRecipe:
    """The pretraining. It ends after `descent.steps`, or, where `seconds` is a number, after about so many.

    The seconds are those of training, over all of its processes' runs: its learning rate begins the final decay when
    what is left is as long as `descent.decay_steps` steps have taken so far.
    """

    image: ImageTowerRecipe = ImageTowerRecipe()
    text: TextRecipe = field(default_factory=TextRecipe)
    projection: int = 128
    seconds: float | None = None
    descent: DescentRecipe = field(default_factory=_descent)


def tiny_contrastive() -> ContrastiveRecipe:
    """The same path in seconds, for tests."""
    return ContrastiveRecipe(
        image=ImageTowerRecipe(width=16, layers=3, heads=2),
        text=TextRecipe(width=16, layers=1, heads=2),
        projection=8,
        descent=DescentRecipe(
            seed=5, steps=6, batch=8, learning_rate=1e-3, warmup_steps=2, decay_steps=3, shards=1,
        ),
    )  # fmt: skip


def build_clip(recipe: ContrastiveRecipe, tokenizer: CLIPTokenizer) -> CLIPModel:
    """A randomly initialised CLIPModel of the recipe's shape, the same for the same seed."""
    text, image = recipe.text, recipe.image
    config = CLIPConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "max_position_embeddings": text.length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **_layers(text.width, text.layers, text.heads),
        },
        vision_config={
            "image_size": SIZE,
            "patch_size": image.patch,
            **_layers(image.width, image.layers, image.heads),
        },
        projection_dim=recipe.projection,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.descent.seed)
        return CLIPModel(config)


def _layers(width: int, layers: int, heads: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


@dataclass(frozen=True)
class CaptionedImages:
    """What one pair is drawn from, on disk: the scenes' chunks in `scenes`, their token ids in `captions` (.npy)."""

    recipe: DataRecipe
    scenes: Path
    captions: Path

    @cached_property
    def _images(self) -> list[Images]:
        return training_images(self.recipe, self.scenes)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([len(part) for part in self._images])

    @cached_property
    def ids(self) -> NDArray[np.uint16]:
        """Token ids (n, draws, L), in the order of the images."""
        return np.asarray(np.load(self.captions, mmap_mode="r"))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def image(self, index: int) -> Images:
        """uint8 (128, 128, 3)."""
        part = int(np.searchsorted(self._ends, index, side="right"))
        image: Images = self._images[part][index - int(self._ends[part])]
        return image


@dataclass(frozen=True)
class Contrast:
    """The objective: which caption belongs to which image, among those of this shard's part of the batch."""

    recipe: ContrastiveRecipe
    data: CaptionedImages
    tokenizer: Path

    def module(self) -> nn.Module:
        model: nn.Module = build_clip(self.recipe, CLIPTokenizer.from_pretrained(self.tokenizer))
        return model

    def rates(self) -> dict[str, float]:
        return {}

    def pairs(self, step: int, shard: int, shards: int) -> tuple[Tensor, Tensor]:
        """Pixels (b, 3, 128, 128) in [-1, 1] and token ids (b, L): a function of (seed, step), different images."""
        batch = self.recipe.descent.batch
        draw = generator("contrastive", self.recipe.descent.seed, step)
        images = draw.choice(len(self.data), batch, replace=len(self.data) < batch)[shard::shards]
        captions = draw.integers(0, self.data.ids.shape[1], batch)[shard::shards]
        pixels = to_pixels(np.stack([self.data.image(int(index)) for index in images]))
        return pixels, torch.from_numpy(self.data.ids[images, captions].astype(np.int64))

    def loss(self, module: nn.Module, step: int, shard: int, shards: int) -> tuple[Tensor, Metrics]:
        assert isinstance(module, CLIPModel)
        pixels, ids = self.pairs(step, shard, shards)
        with torch.autocast("cpu", torch.bfloat16):
            found = module(pixel_values=pixels, input_ids=ids)
        # The model's own logits are in bfloat16 and know no bound of the scale.
        scale = module.logit_scale.clamp(max=GREATEST_SCALE).exp()
        texts, images = (
            nn.functional.normalize(e.float(), dim=-1) for e in (found.text_embeds, found.image_embeds)
        )
        logits = scale * texts @ images.T
        right = torch.arange(len(logits))
        cross_entropy = nn.functional.cross_entropy
        loss = (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2
        hits = (logits.argmax(0) == right).float().mean()
        return loss, {"loss": loss.item(), "named": hits.item(), "scale": scale.item()}


def pretrain(objective: Contrast, folder: Path) -> Events:
    """Trains to the end in `folder`, resumably; nothing when it is done. `provenance.averaged(folder)` is the result.

    The folder has a log and checkpoints as the LDM's own training. Raises ModelError for a gradient that is not finite.
    """
    if finished(folder):
        return
    recipe = objective.recipe
    descent = Descent(objective, recipe.descent, folder)
    log = Logbook(folder / "log.jsonl")
    before = training_seconds(entries(log.path))
    with closing(descent.run()) as records:
        for record in records:
            if _is_time(recipe, record, before + record.seconds):
                (folder / "decay-now").touch()
            entry = log.note(record)
            yield BuildEvent("contrastive", record.step + 1, descent.end, json.dumps(entry) if entry else "")


def _is_time(recipe: ContrastiveRecipe, record: StepRecord, seconds: float) -> bool:
    """Whether the steps of the final decay will take what is left of the time."""
    if recipe.seconds is None or record.step < recipe.descent.warmup_steps:
        return False  # The first steps, which start processes, do not tell how long a step takes.
    ahead = recipe.descent.decay_steps * seconds / (record.step + 1)
    return seconds + ahead >= recipe.seconds
