"""An LDM folder of the miniature's shape that nobody trained: for real pictures, where the miniature knows nothing.

Its UNet and its text encoder are random. A frozen random text encoder gives each prompt a code and no meaning: a net
trained on it can only know the prompts that it saw in training.
"""

from __future__ import annotations

from pathlib import Path

from diffusers import AutoencoderTiny

from ldznet_cli.errors import UsageError
from ldznet_cli.ldm.clip_vocabulary import read_merges
from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.ldm.staging import refuse_filled
from ldznet_cli.miniature.autoencoder import build_autoencoder
from ldznet_cli.miniature.pipeline import save_pipeline
from ldznet_cli.miniature.pretraining import TextAndUNet, build_unet
from ldznet_cli.miniature.recipe import official
from ldznet_cli.miniature.text import build_text_encoder, tokenizer_of


def untrained_ldm(
    out: Path, *, vae: Path | None = None, vocabulary: Path | None = None, seed: int = 0
) -> Path:
    """Writes the folder `out`: random UNet and text encoder, SD's schedule, and a first stage.

    `vae` is a folder with an AutoencoderTiny, whose weights are taken (TAESD's, for example); random without it.
    `vocabulary` is CLIP's `bpe_simple_vocab_16e6.txt.gz`; without it only the 256 bytes are known, which
    can spell everything. Raises UsageError for a folder or a file that does not hold that.
    """
    refuse_filled(out)
    recipe, words = official(), official().pretraining.text
    tokenizer = tokenizer_of(read_merges(vocabulary) if vocabulary else [], words)
    text = build_text_encoder(words, tokenizer, seed)
    unet = build_unet(recipe.pretraining.unet, words.width, seed)
    autoencoder = _read_autoencoder(vae) if vae else build_autoencoder(recipe.autoencoder, seed)
    scale = float(autoencoder.config.scaling_factor)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_pipeline(out, TextAndUNet(text, unet), autoencoder, scale, tokenizer, recipe.schedule)
    return out


def _read_autoencoder(folder: Path) -> AutoencoderTiny:
    try:
        with quiet_libraries():
            loaded: AutoencoderTiny = AutoencoderTiny.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--vae: {folder} holds no AutoencoderTiny: {reason}") from error
    return loaded
