"""A single-file Stable Diffusion → a diffusers folder that `--ldm` takes, with a record of where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ldznet_cli.config import CLIP
from ldznet_cli.errors import ModelError
from ldznet_cli.ldm.clip_vocabulary import END, Vocabulary, find_vocabulary, write_tokenizer
from ldznet_cli.ldm.hub import WEIGHT_STEMS
from ldznet_cli.ldm.lightning import read_state_dict
from ldznet_cli.ldm.record import write_record
from ldznet_cli.ldm.single_file import Chosen, Part, Prediction, SingleFile, convert
from ldznet_cli.ldm.staging import refuse_filled, staged
from ldznet_cli.ldm.tensor_file import write_tensors

PADDING = {"1.x": END, "2.x": "!"}
"""What fills a prompt up to 77 tokens, as published with each version."""

_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


@dataclass(frozen=True)
class ImportedLdm:
    """What was imported: `chosen` tells which UNet ("frozen": the one inside a checkpoint of LD-ZNet), `parameters` are
    by part, `ignored` are counts of keys by kind."""

    version: str
    chosen: Chosen
    parameters: dict[str, int]
    ignored: dict[str, int]


def import_ldm(
    path: Path,
    out: Path,
    which: Literal["raw", "ema"] = "raw",
    *,
    tokenizer: str = CLIP,
    prediction: Prediction | None = None,
    offline: bool = False,
) -> ImportedLdm:
    """Writes the checkpoint `path` as the diffusers folder `out`, which must be new; whole or not at all.

    `tokenizer` is where CLIP's vocabulary is, as for `find_vocabulary`; the other options as for `convert`.
    Raises UsageError, ModelError, WeightsUnavailable, DiskFull.
    """
    refuse_filled(out)
    found = convert(read_state_dict(path), which, prediction, path)
    vocabulary = find_vocabulary(tokenizer, offline=offline)
    text = found.parts["text_encoder"].model.config
    if len(vocabulary.tokens) != text.vocab_size:
        raise ModelError(
            f"the tokenizer {tokenizer} has {len(vocabulary.tokens)} tokens, the text encoder of {path} "
            f"{text.vocab_size}: give its own by --tokenizer"
        )
    with staged(out) as folder:
        for name, part in found.parts.items():
            _write_part(folder / name, name, part)
        _write_settings(folder, found, vocabulary, int(text.max_position_embeddings))
        write_record(folder, {"file": path.name, "weights": found.chosen, "version": found.version})
    counts = {
        name: sum(value.numel() for value in part.tensors.values()) for name, part in found.parts.items()
    }
    return ImportedLdm(found.version, found.chosen, counts, found.ignored)


def _write_part(folder: Path, name: str, part: Part) -> None:
    write_tensors(folder / f"{WEIGHT_STEMS[name]}.safetensors", part.tensors)
    if name == "text_encoder":
        part.model.config.save_pretrained(folder)
    else:
        part.model.save_config(folder)


def _write_settings(folder: Path, found: SingleFile, vocabulary: Vocabulary, length: int) -> None:
    write_tokenizer(folder / "tokenizer", vocabulary, length, PADDING[found.version])
    _write_json(folder / "scheduler" / "scheduler_config.json", found.scheduler)
    _write_json(folder / "model_index.json", _INDEX)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
