"""CLIPSeg (Lüddecke and Ecker, CVPR 2022) as a predictor, through transformers: real masks without training.

The phrase is put bare, as its authors do with PhraseCut's; the image is squashed to the model's square, 352 pixels for
the published weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ldznet_cli.config import CLIPSEG
from ldznet_cli.errors import ModelError, PromptError, WeightsUnavailable
from ldznet_cli.inference.predictor import PredictorIdentity, ProbMap
from ldznet_cli.ldm.digests import file_digest
from ldznet_cli.ldm.folder import read_json, resolve_files
from ldznet_cli.ldm.hub import TRANSFORMERS_FILES
from ldznet_cli.ldm.quiet import quiet_libraries
from ldznet_cli.samples.record import RecordGeometry
from ldznet_cli.samples.templates import clean_phrase

THRESHOLD = 0.3
"""The CLIPSeg paper's for its PhraseCut models (table 1)."""

LARGEST = 4096
"""Pixels of the model's square: the published one's is 352."""


class ClipSegPredictor:
    """Any CLIPSeg of the hub or of a folder. Phrases go through it in batches of exactly `batch` rows."""

    threshold = THRESHOLD

    def __init__(
        self,
        folder_or_hub_id: str | Path = CLIPSEG,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        batch: int = 1,
        offline: bool = False,
    ) -> None:
        """Raises WeightsUnavailable: no such folder or hub id, no network, files missing; ModelError: not a CLIPSeg."""
        folder = resolve_files(folder_or_hub_id, TRANSFORMERS_FILES, offline=offline)
        self.processor, model = _load(folder)
        self.model = model.to(device=device, dtype=dtype).eval()
        self.device, self.dtype, self.batch = torch.device(device), dtype, batch
        name = folder.resolve().name if Path(folder_or_hub_id).is_dir() else str(folder_or_hub_id)
        self.identity = PredictorIdentity(
            "clipseg", name, _digest(folder), settings={"dtype": str(dtype).removeprefix("torch.")}
        )

    def check(self, phrases: Sequence[str]) -> None:
        """Raises PromptError for the first phrase that is empty or too long."""
        with _fitting(self.identity.model):
            self._tokens([clean_phrase(phrase) for phrase in phrases])

    def predict(self, image: Image.Image, sha256: str, phrases: Sequence[str]) -> list[ProbMap]:  # noqa: ARG002
        """A map for each phrase on the model's square grid."""
        with _fitting(self.identity.model):
            pixels = self.processor.image_processor(images=image, return_tensors="pt")["pixel_values"]
            tokens = self._tokens([clean_phrase(phrase) for phrase in phrases])
        pixels = pixels.to(self.device, self.dtype)
        with torch.inference_mode():
            return [_map(prob) for prob in self._probs(pixels, tokens)]

    def _probs(self, pixels: torch.Tensor, tokens: dict[str, torch.Tensor]) -> Iterator[NDArray[np.float32]]:
        count = len(tokens["input_ids"])
        for start in range(0, count, self.batch):
            rows = [min(row, count - 1) for row in range(start, start + self.batch)]
            given = {name: value[rows].to(self.device) for name, value in tokens.items()}
            logits = self.model(pixel_values=pixels.expand(len(rows), *pixels.shape[1:]), **given).logits
            side = logits.shape[-2:]  # of a batch of one the logits lack the first axis
            probs = torch.sigmoid(logits.reshape(-1, *side).float()).cpu().numpy()
            yield from probs[: count - start]

    def _tokens(self, phrases: list[str]) -> dict[str, torch.Tensor]:
        """Padded to the text encoder's length, so that no phrase's neighbours change its batch's shape."""
        length = int(self.model.config.text_config.max_position_embeddings)
        tokenizer = self.processor.tokenizer
        for phrase, row in zip(phrases, tokenizer(phrases, verbose=False)["input_ids"], strict=True):
            if len(row) > length:
                shown = phrase if len(phrase) <= 60 else f"{phrase[:57]}..."
                raise PromptError(
                    f"the prompt {shown!r} is {len(row) - length} tokens too long: CLIPSeg takes {length - 2}"
                )
        rows = tokenizer(phrases, padding="max_length", max_length=length, return_tensors="pt")
        known = int(self.model.config.text_config.vocab_size)
        if int(rows["input_ids"].max()) >= known:
            raise ModelError(
                f"{self.identity.model}: its tokenizer has more than the {known} tokens that its model knows: are its "
                "files whole, and of one model?"
            )
        return {name: rows[name] for name in ("input_ids", "attention_mask")}


@contextmanager
def _fitting(model: str) -> Iterator[None]:
    """What configurations that were damaged, or are another model's, lead to: only their use tells."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{model}: its configuration cannot be used as a CLIPSeg's ({reason})") from error


def _map(prob: NDArray[np.float32]) -> ProbMap:
    if not np.isfinite(prob).all():
        raise ModelError("CLIPSeg gives values that are not finite: try --dtype float32")
    height, width = prob.shape
    return ProbMap(prob, RecordGeometry("square", max(height, width), (height, width)))


def _load(folder: Path) -> tuple[Any, Any]:
    """Processor and model. Pickles are never read."""
    _check_kind(folder)
    if not any(folder.glob("model*.safetensors")):
        raise WeightsUnavailable(f"{folder} holds no model.safetensors: CLIPSeg's weights are not there")
    with quiet_libraries():
        from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

        try:
            processor = CLIPSegProcessor.from_pretrained(folder, local_files_only=True)
            model, report = CLIPSegForImageSegmentation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except Exception as error:  # damaged files: tokenizers raises no narrower class, transformers any
            reason = " ".join(str(error).split())[:200]
            raise WeightsUnavailable(f"{folder} cannot be loaded as a CLIPSeg: {reason}") from error
    size = processor.image_processor.size
    sides = [side for side in dict(size).values() if side is not None]
    if not all(isinstance(side, int) and 0 < side <= LARGEST for side in sides):
        raise ModelError(f"{folder}: its processor makes images of {size}: expected at most {LARGEST} pixels")
    if report["missing_keys"]:
        first = sorted(report["missing_keys"])[0]
        raise WeightsUnavailable(f"{folder}: model.safetensors lacks {first}: is it whole, and a CLIPSeg?")
    return processor, model


def _check_kind(folder: Path) -> None:
    kind = read_json(folder / "config.json").get("model_type")
    if kind != "clipseg":
        raise ModelError(f"{folder} is a {kind}, expected a clipseg: name another by --clipseg")


def _digest(folder: Path) -> str:
    """Over configuration, preprocessing, vocabulary and weights."""
    names = (
        "config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
        "vocab.json",
    )
    files = [folder / name for name in (*names, "merges.txt")] + sorted(folder.glob("model*.safetensors"))
    found = {path.name: file_digest(path) for path in files if path.is_file()}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
