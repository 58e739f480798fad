"""The miniature LDM as a Stable Diffusion pipeline folder: written in float16, and read back for scoring."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline
from torch import Tensor
from transformers import CLIPTokenizer

from ldznet_cli.errors import WeightsUnavailable
from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.miniature.ldm_recipe import ScheduleRecipe
from ldznet_cli.miniature.pretraining import TextAndUNet, alphas_cumprod
from ldznet_cli.miniature.text import token_ids


def build_scheduler(schedule: ScheduleRecipe) -> DDIMScheduler:
    """DDIM with the settings of Stable Diffusion 1.x's schedule."""
    return DDIMScheduler(
        num_train_timesteps=schedule.steps,
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """`tokenizer.json`, as transformers 5 reads it, and CLIP's own `vocab.json` and `merges.txt` for all others."""
    tokenizer.save_pretrained(folder)
    _edit_json(folder / "tokenizer_config.json", is_local=None, local_files_only=None)
    model = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]
    vocabulary = json.dumps(model["vocab"], ensure_ascii=False)
    (folder / "vocab.json").write_text(vocabulary, "utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")


def save_pipeline(
    folder: Path,
    networks: TextAndUNet,
    autoencoder: AutoencoderTiny,
    scaling_factor: float,
    tokenizer: CLIPTokenizer,
    schedule: ScheduleRecipe,
) -> None:
    """Write the pipeline folder in float16 under another name, then swap it in.

    `StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)` loads and samples from it.
    """
    # Diffusers writes the decoder's widths under this name; what z depends on must not change with the decoder.
    encoder_widths = autoencoder.config.encoder_block_out_channels
    autoencoder.register_to_config(scaling_factor=scaling_factor, block_out_channels=encoder_widths)
    temporary, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    with quiet_libraries():
        StableDiffusionPipeline(
            vae=autoencoder,
            text_encoder=networks.text,
            tokenizer=tokenizer,
            unet=networks.unet,
            scheduler=build_scheduler(schedule),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).to(torch.float16).save_pretrained(temporary)
    save_tokenizer(tokenizer, temporary / "tokenizer")
    # Transformers loads in the dtype named here, diffusers in float32: let a plain load give one dtype.
    _edit_json(temporary / "text_encoder" / "config.json", dtype="float32")
    for path in temporary.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for the owner alone: a package is for everyone
    if folder.exists():
        os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def _edit_json(path: Path, **changed: str | None) -> None:
    """Change what a library wrote; None takes a key out."""
    content = json.loads(path.read_text("utf-8")) | changed
    content = {key: value for key, value in content.items() if key not in changed or value is not None}
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """The pipeline in float32 on the CPU, without progress bars. Raises WeightsUnavailable when there is none."""
    if not (folder / "model_index.json").exists():
        raise WeightsUnavailable(f"{folder} holds no diffusers pipeline: run `make miniature`")
    with quiet_libraries():
        pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@dataclass(frozen=True)
class PairDenoiser:
    """Text encoder and UNet as grounding.Denoiser."""

    networks: TextAndUNet
    tokenizer: CLIPTokenizer
    abar: Tensor

    @classmethod
    def of(cls, networks: TextAndUNet, tokenizer: CLIPTokenizer, schedule: ScheduleRecipe) -> PairDenoiser:
        return cls(networks, tokenizer, alphas_cumprod(schedule))

    @torch.no_grad()
    def predict(self, z: Tensor, noise: Tensor, timestep: int, prompts: Sequence[str]) -> Tensor:
        """Predicted noise (P, 4, h, w), one for each prompt, on z (1, 4, h, w) noised to `timestep`."""
        abar, count = self.abar[timestep], len(prompts)
        z_t = abar.sqrt() * z + (1 - abar).sqrt() * noise
        ids = torch.from_numpy(token_ids(self.tokenizer, prompts))
        predicted: Tensor = self.networks(z_t.expand(count, -1, -1, -1), torch.full((count,), timestep), ids)
        return predicted
