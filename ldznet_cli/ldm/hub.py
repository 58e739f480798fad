"""Fetching a model from the Hugging Face hub: only the files that are needed, and clear words when it fails."""

from __future__ import annotations

from pathlib import Path

from ldznet_cli.errors import DiskFull, WeightsUnavailable, no_room
from ldznet_cli.ldm.quiet import quiet_libraries

WEIGHT_STEMS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "": "diffusion_pytorch_model",
}
"""Part of a pipeline folder → how its weight files' names begin; "" is a folder that is a first stage itself."""

RAW_VARIANT = ".non_ema"
"""Before `.safetensors` in the name of the UNet's raw weights, where a repository has them beside the average."""

TRANSFORMERS_FILES = ["*.json", "*.txt", "model.safetensors", "model-*-of-*.safetensors"]
"""What a model of transformers' kind consists of: CLIPSeg, for `ldznet segment --predictor clipseg`."""

_CONFIGS = ("unet/config.json", "vae/config.json", "text_encoder/config.json")


def download(
    hub_id: str, *, revision: str | None, offline: bool, parts: tuple[str, ...], bars: type | None = None
) -> Path:
    """Fetches the named `parts` of `hub_id` into the hub's cache (or finds them there) and returns the folder.

    Half-precision files (`*.fp16.safetensors`) are fetched only where a part has no others. `.bin` files, which
    are pickles, never are. `bars` is the tqdm to draw progress with, if any. Raises WeightsUnavailable; DiskFull.
    """
    folder = _snapshot(hub_id, revision, offline, [*_settings(parts), *_weights(parts, "")], bars)
    there = [part for part in parts if (folder / part / "config.json").is_file()]
    if bare := tuple(part for part in there if not _has_weights(folder, part)):
        folder = _snapshot(hub_id, revision, offline, _weights(bare, ".fp16"), bars)
    return folder


def fetch(
    hub_id: str,
    patterns: list[str],
    *,
    revision: str | None = None,
    offline: bool = False,
    bars: type | None = None,
) -> Path:
    """Fetches the files of any model that fit `patterns`, and returns their folder. Raises as `download` does."""
    return _snapshot(hub_id, revision, offline, patterns, bars)


def _settings(parts: tuple[str, ...]) -> list[str]:
    """The small files: a whole pipeline's, even if the UNet's weights are not wanted, or a first stage's."""
    if "text_encoder" not in parts:
        return ["model_index.json", *(f"{part}/config.json".lstrip("/") for part in parts)]
    texts = ["tokenizer/*.json", "tokenizer/*.txt"]
    return ["model_index.json", "scheduler/scheduler_config.json", *texts, "config.json", *_CONFIGS]


def _weights(parts: tuple[str, ...], variant: str) -> list[str]:
    patterns = []
    for part in parts:
        stem = f"{part}/{WEIGHT_STEMS[part]}".lstrip("/")
        patterns += [f"{stem}{variant}.safetensors"]
        if not variant:
            patterns += [f"{stem}.safetensors.index.json", f"{stem}-*-of-*.safetensors"]
    return patterns


def _has_weights(folder: Path, part: str) -> bool:
    return any((folder / part).glob(f"{WEIGHT_STEMS[part]}*.safetensors"))


def _snapshot(
    hub_id: str, revision: str | None, offline: bool, patterns: list[str], bars: type | None
) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # httpx's or httpx2's, as the hub's

    try:
        with quiet_libraries():
            return Path(
                snapshot_download(
                    hub_id,
                    revision=revision,
                    allow_patterns=patterns,
                    local_files_only=offline,
                    tqdm_class=bars,
                )
            )
    except (HTTPError, OSError, ValueError, RuntimeError) as error:  # RuntimeError: some of hf_xet's
        if no_room(error):
            raise DiskFull(
                f"no space left for {hub_id} in the hub's cache: make room or set HF_HOME"
            ) from error
        raise WeightsUnavailable(_reason(hub_id, revision, offline, error)) from error


def _reason(hub_id: str, revision: str | None, offline: bool, error: Exception) -> str:
    from huggingface_hub import constants, errors, is_offline_mode

    cache, hub = f"the hub's cache ({constants.HF_HUB_CACHE})", constants.ENDPOINT
    login = "log in with `hf auth login`"
    if isinstance(error, errors.GatedRepoError):
        return f"{hub_id} is gated: accept its licence at {hub}/{hub_id}, then {login}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{hub} knows no model {hub_id}: check the name, or {login} if it is private"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{hub_id} has no revision {revision!r} on {hub}"
    if isinstance(error, errors.LocalEntryNotFoundError):
        forbidden = offline or is_offline_mode()
        answer = getattr(error.__cause__, "response", None)  # too many requests, say
        reached = f"{hub} cannot be reached" if answer is None else f"{hub} answers {answer.status_code}"
        why = "the hub may not be asked (offline)" if forbidden else reached
        return f"{hub_id} is not in {cache}, and {why}"
    return f"{hub_id} could not be fetched from {hub}: {' '.join(str(error).split()) or type(error).__name__}"
