"""A random CLIPSeg in a folder, in the published weights' file formats, of about 100 kB."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.tiny import MERGES, write_tokenizer


def tiny_clipseg(folder: Path, seed: int = 0) -> Path:
    """Writes the folder and returns it: 32x32 pixels in patches of 8, 16 tokens of text."""
    from transformers import (
        CLIPSegConfig,
        CLIPSegForImageSegmentation,
        CLIPSegProcessor,
        CLIPTokenizer,
        ViTImageProcessor,
    )

    words = 512 + len(MERGES) + 2
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    text = {"vocab_size": words, "max_position_embeddings": 16, "bos_token_id": words - 2}
    config = CLIPSegConfig(
        text_config={**layers, **text, "eos_token_id": words - 1, "pad_token_id": words - 1},
        vision_config={**layers, "image_size": 32, "patch_size": 8},
        projection_dim=16,
        reduce_dim=8,
        extract_layers=[0, 1, 2],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPSegForImageSegmentation(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    write_tokenizer(folder, 16)
    size = {"height": 32, "width": 32}
    CLIPSegProcessor(ViTImageProcessor(size=size), CLIPTokenizer.from_pretrained(folder)).save_pretrained(
        folder
    )
    return folder
