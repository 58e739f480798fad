"""CLIPSeg on the miniature's CLIP: the frozen CLIP as a source of features, its decoder trained as our nets are.

Phrases are put bare, as `ClipSegPredictor` puts them. The decoder is transformers' own; its training is the nets': the
same samples in the same order, the same loss, averages, schedule, validation and checkpoints.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer

from ldznet_cli.features.source import FeatureItem, SampleFeatures
from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.miniature.data import save_json
from ldznet_cli.miniature.paper.contrastive import ContrastiveRecipe, build_clip
from ldznet_cli.miniature.pipeline import save_tokenizer
from ldznet_cli.miniature.scenes import SIZE
from ldznet_cli.miniature.text import token_ids
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.geometry import Geometry, to_tensor
from ldznet_cli.samples.images import read_view
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.negatives import absent_phrases
from ldznet_cli.samples.templates import clean_phrase
from ldznet_cli.training.config import TrainConfig
from ldznet_cli.training.dataset import Reader, TrainingSet
from ldznet_cli.training.loop import Run, TrainEvent, train
from ldznet_cli.training.validation import choose, validate

GEOMETRY = Geometry("square", SIZE)


@dataclass(frozen=True)
class DecoderRecipe:
    """CLIPSeg's decoder, D = 64 as in its paper, with the finer last layers of its authors' newer weights.

    `layers` are those of the ViT that it reads, from 0: as deep, of 6, as CLIPSeg's 3, 6 and 9 of 12. The finer layers
    make a patch of 16 pixels whole; for another side of a patch `fine` is to be False.
    """

    layers: tuple[int, ...] = (1, 3, 4)
    width: int = 64
    heads: int = 4
    hidden: int = 256
    fine: bool = True


def build_clipseg(
    clip: ContrastiveRecipe, decoder: DecoderRecipe, tokenizer: CLIPTokenizer, weights: Path, seed: int
) -> CLIPSegForImageSegmentation:
    """The pretrained CLIP of `weights` (a CLIPModel's, safetensors), frozen, under a decoder at random."""
    trained = build_clip(clip, tokenizer)
    trained.load_state_dict(load_file(weights))
    config = CLIPSegConfig(
        text_config=trained.config.text_config.to_dict(),
        vision_config=trained.config.vision_config.to_dict(),
        projection_dim=clip.projection,
        extract_layers=list(decoder.layers),
        reduce_dim=decoder.width,
        decoder_num_attention_heads=decoder.heads,
        decoder_intermediate_size=decoder.hidden,
        use_complex_transposed_convolution=decoder.fine,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPSegForImageSegmentation(config)
        _reset(model.decoder)
    model.clip.load_state_dict(trained.state_dict())
    model.clip.requires_grad_(False)
    return model.eval()


def _reset(decoder: nn.Module) -> None:
    """PyTorch's own first weights, as CLIPSeg's authors have them: those of transformers 5 give logits of hundreds."""
    for module in decoder.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.LayerNorm)):
            module.reset_parameters()


class ClipFeatures:
    """The frozen CLIP as a FeatureSource: `text` is the phrase's embedding (1, P), `blocks` the ViT's states by layer,
    (1, tokens, C). An image's states are computed once and kept in float16; z, which CLIP has none of, is empty.
    """

    def __init__(self, model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self._states: dict[ImageRef, dict[int, Tensor]] = {}
        self._text = lru_cache(maxsize=4096)(self._embedding)

    @torch.no_grad()
    def features(self, image: ImageRef, items: Sequence[FeatureItem]) -> list[SampleFeatures]:
        """One for each item; whatever its draw, since nothing is drawn. Raises ImageError, PromptError."""
        if image not in self._states:
            self._states[image] = self._seen(image)
        blocks = {layer: state.float() for layer, state in self._states[image].items()}
        phrases = [clean_phrase(item.phrase) for item in items]
        return [SampleFeatures(torch.zeros(4, 0, 0), self._text(p), blocks, p, 0) for p in phrases]

    def _seen(self, image: ImageRef) -> dict[int, Tensor]:
        pixels = to_tensor(read_view(image), GEOMETRY)
        found = self.model.clip.vision_model(pixels, output_hidden_states=True).hidden_states
        return {layer: found[layer + 1].half() for layer in self.model.extract_layers}

    def _embedding(self, phrase: str) -> Tensor:
        ids = torch.from_numpy(token_ids(self.tokenizer, [phrase]))
        embedding: Tensor = self.model.clip.get_text_features(ids).pooler_output
        return embedding


class Decoder(nn.Module):
    """CLIPSeg's decoder with the nets' signature: what is trained."""

    def __init__(self, model: CLIPSegForImageSegmentation) -> None:
        super().__init__()
        self.decoder, self.layers = model.decoder, tuple(model.extract_layers)

    def forward(self, _inputs: Tensor, text: Tensor, features: dict[int, Tensor]) -> Tensor:
        """Logits (B, 1, H, W) of `ClipFeatures`' text (B, 1, P) and states (B, 1, tokens, C)."""
        states = tuple(features[layer][:, 0] for layer in self.layers)
        logits: Tensor = self.decoder(states, text[:, 0]).logits
        return logits.reshape(len(text), 1, *logits.shape[-2:])  # a batch of one comes without its axis


def train_decoder(
    model: CLIPSegForImageSegmentation,
    tokenizer: CLIPTokenizer,
    training: SampleSet,
    validation: SampleSet,
    config: TrainConfig,
    folder: Path,
    out: Path,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[TrainEvent]:
    """Trains in `folder`, resumably; whenever a validation is the best so far, `out` becomes that CLIPSeg's folder.

    The seed of `config` decides the order of the samples; that of `build_clipseg` the decoder's first weights.
    """
    reader = Reader(ClipFeatures(model, tokenizer), GEOMETRY)
    data = TrainingSet(
        training.samples,
        reader,
        batch=config.batch,
        seed=config.seed,
        negatives=config.negatives,
        absent=absent_phrases(training, 0),
        draws=1,
    )
    watched = choose(validation.samples, config.validation_samples, config.seed)
    yield from train(
        config,
        Run(folder, Decoder(model)),
        data,
        validate=lambda averaged, step: validate(averaged, watched, reader, step, config.batch),
        save_best=partial(_save_best, model, tokenizer, out),
        stop=stop,
    )


def _save_best(
    model: CLIPSegForImageSegmentation,
    tokenizer: CLIPTokenizer,
    out: Path,
    run: Run,
    averaged: nn.Module,
    threshold: float,
) -> None:
    assert isinstance(averaged, Decoder)
    made = copy.deepcopy(model)
    made.decoder.load_state_dict(averaged.decoder.state_dict())
    note = {"step": run.progress.step, "threshold": threshold, "miou": run.progress.history[-1]}
    save_clipseg(made, tokenizer, out, note)


def save_clipseg(
    model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, out: Path, note: dict[str, float]
) -> None:
    """The folder that `ldznet segment --predictor clipseg --clipseg OUT` takes; `note` becomes its training.json."""
    temporary, old = out.with_name(out.name + ".new"), out.with_name(out.name + ".old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    size = {"height": SIZE, "width": SIZE}
    with quiet_libraries():
        from transformers import CLIPSegProcessor, ViTImageProcessor

        model.save_pretrained(temporary)
        CLIPSegProcessor(ViTImageProcessor(size=size), tokenizer).save_pretrained(temporary)
    save_tokenizer(tokenizer, temporary)
    save_json(temporary / "training.json", note)
    if out.exists():
        os.replace(out, old)
    os.replace(temporary, out)
    shutil.rmtree(old, ignore_errors=True)
