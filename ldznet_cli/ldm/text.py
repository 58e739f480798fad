"""The text encoder: prompts → hidden states, (B, L, D), as the UNet's cross-attention was trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ldznet_cli.errors import ModelError, PromptError, WeightsUnavailable
from ldznet_cli.ldm.folder import read_json, weight_files
from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.ldm.weights import Weights, fill, on_meta
from ldznet_cli.tensors import Text


class TextEncoder:
    """A frozen CLIP text model with its tokenizer; prompts are padded to `length` tokens."""

    def __init__(self, model: Any, tokenizer: Any, length: int) -> None:
        self.model, self.tokenizer, self.length = model, tokenizer, length
        self.width = int(model.config.hidden_size)

    @classmethod
    def load(
        cls, folder: Path, tokenizer: Path | None, device: torch.device, dtype: torch.dtype
    ) -> TextEncoder:
        """From the folders of encoder and tokenizer. Raises WeightsUnavailable, ModelError."""
        if tokenizer is None:
            raise WeightsUnavailable(f"{folder} has no tokenizer/ beside it")
        model = _model_on_meta(folder, read_json(folder / "config.json"))
        known = set(model.state_dict())
        weights = Weights(weight_files(folder, "text_encoder"), rename=_as_named_in(known))
        positions = int(model.config.max_position_embeddings)
        _restore_positions(model, positions, device)
        fill(model, weights, known | _left_aside(known), device=device, dtype=dtype)
        loaded = _load_tokenizer(tokenizer)
        if len(loaded) > model.config.vocab_size:
            size = model.config.vocab_size
            raise ModelError(f"{tokenizer} has {len(loaded)} tokens, its encoder's config.json {size}")
        return cls(model, loaded, min(int(loaded.model_max_length), positions))

    def encode(self, prompts: Sequence[str]) -> Text:
        """The last hidden states (B, L, D), after the final layer norm.

        Raises PromptError for too long a prompt.
        """
        device = self.model.device
        states: Text = self.model(input_ids=self.tokens(prompts).to(device)).last_hidden_state
        return states

    def tokens(self, prompts: Sequence[str]) -> torch.Tensor:
        """Token ids (B, L), int64: start, words, end, padding."""
        rows = self.tokenizer(list(prompts), verbose=False)["input_ids"]
        for prompt, row in zip(prompts, rows, strict=True):
            if (over := len(row) - self.length) > 0:
                shown = prompt if len(prompt) <= 60 else f"{prompt[:57]}..."
                takes = f"the text encoder takes {self.length - 2}, this one has {len(row) - 2}"
                raise PromptError(f"the prompt {shown!r} is {over} tokens too long: {takes}")
        padding = self.tokenizer.pad_token_id
        return torch.tensor([[*row, *[padding] * (self.length - len(row))] for row in rows])


def _model_on_meta(folder: Path, config: dict[str, Any]) -> Any:
    kinds = config.get("architectures") or ["CLIPTextModel"]
    if "CLIPTextModel" not in kinds:
        raise ModelError(f"{folder} is a {kinds[0]}: Stable Diffusion 1.x and 2.x have a CLIPTextModel")
    with on_meta(folder / "config.json"):
        from transformers import CLIPTextConfig, CLIPTextModel

        return CLIPTextModel(CLIPTextConfig.from_dict(config))


def _as_named_in(known: set[str]) -> Any:
    """Files from the hub say text_model.encoder…, newer versions of transformers encoder…: to what this one says."""
    prefix = "text_model." if any(key.startswith("text_model.") for key in known) else ""
    return lambda key: prefix + key.removeprefix("text_model.")


def _left_aside(known: set[str]) -> set[str]:
    """What older files hold besides: the numbers 0, 1, 2, … that are made below."""
    return {key.replace("position_embedding.weight", "position_ids") for key in known}


def _restore_positions(model: Any, count: int, device: torch.device) -> None:
    """The one buffer of a CLIP text model is in no file: it counts the positions."""
    for module in model.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if name != "position_ids" or not buffer.is_meta:
                raise ModelError(f"this version of transformers has a buffer {name} in CLIPTextModel")
            setattr(module, name, torch.arange(count, device=device).expand(1, -1))


def _load_tokenizer(folder: Path) -> Any:
    """Without a vocabulary transformers would make an empty tokenizer, and say nothing."""
    if not (folder / "tokenizer.json").is_file():
        for name in ("vocab.json", "merges.txt"):
            if not (folder / name).is_file():
                raise WeightsUnavailable(f"{folder} holds no CLIP tokenizer: {name} is missing")
    with quiet_libraries():
        from transformers import CLIPTokenizer

        try:
            return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # tokenizers raises no narrower class
            reason = " ".join(str(error).split())
            raise ModelError(f"{folder} holds a damaged CLIP tokenizer: {reason}") from error
