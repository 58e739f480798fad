"""Digests name what values depend on: a change in a part changes that part's, anything else changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.config import user_cache
from ldznet_cli.errors import WeightsUnavailable
from ldznet_cli.ldm import FrozenLDM, digests_of
from ldznet_cli.ldm import digests as room
from ldznet_cli.ldm.digests import LdmDigests


@pytest.fixture
def folder(tiny_ldm: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_ldm, tmp_path / "model")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip(path: Path) -> None:
    """One bit of the last weight."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def changed(before: LdmDigests, after: LdmDigests) -> set[str]:
    assert (before.combined == after.combined) == (before == after)
    return {name for name, value in before.to_dict().items() if value != after.to_dict()[name]}


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "unet"),
        ("vae/diffusion_pytorch_model.safetensors", "first_stage"),
        ("text_encoder/model.safetensors", "text"),
    ],
)
def test_one_bit_of_a_weight(folder: Path, file: str, part: str) -> None:
    before = digests_of(folder)
    flip(folder / file)
    assert changed(before, digests_of(folder)) == {part}


@pytest.mark.parametrize(
    ("file", "change", "part"),
    [
        ("unet/config.json", {"norm_eps": 1e-6}, "unet"),
        ("vae/config.json", {"scaling_factor": 0.2}, "first_stage"),
        ("text_encoder/config.json", {"hidden_act": "gelu"}, "text"),
        ("tokenizer/tokenizer_config.json", {"model_max_length": 20}, "text"),
        ("tokenizer/vocab.json", {"more": 521}, "text"),
        ("scheduler/scheduler_config.json", {"beta_end": 0.013}, "schedule"),
    ],
)
def test_one_field_of_a_configuration(folder: Path, file: str, change: dict[str, Any], part: str) -> None:
    before = digests_of(folder)
    edit(folder / file, **change)
    assert changed(before, digests_of(folder)) == {part}


def test_merges_are_part_of_the_text(folder: Path) -> None:
    before = digests_of(folder)
    with (folder / "tokenizer" / "merges.txt").open("a") as file:
        file.write("l a\n")
    assert changed(before, digests_of(folder)) == {"text"}


def test_what_no_value_depends_on(folder: Path, tmp_path: Path) -> None:
    """Another place, another version of the library that saved it, another sampler on the same schedule."""
    before = digests_of(folder)
    edit(folder / "unet" / "config.json", _diffusers_version="9.9", _name_or_path="elsewhere")
    edit(folder / "text_encoder" / "config.json", transformers_version="9.9", torch_dtype="float16")
    edit(folder / "scheduler" / "scheduler_config.json", _class_name="DDIMScheduler", steps_offset=0)
    moved = folder.rename(tmp_path / "moved")
    assert changed(before, digests_of(moved)) == set()


def test_those_of_a_loaded_model(folder: Path) -> None:
    assert (
        FrozenLDM.load(folder, blocks=[0]).digests
        == FrozenLDM.load(folder, blocks=()).digests
        == digests_of(folder)
    )


def test_a_model_without_parts(folder: Path) -> None:
    alone = digests_of(folder / "vae")
    assert alone == LdmDigests(digests_of(folder).first_stage, None, None, None)
    assert len(alone.combined) == 64


PAST = time.time_ns() - 100 * 10**9


def settle(path: Path) -> None:
    """As if the file had been written long ago (its change time can't be set, so the patience is)."""
    os.utime(path, ns=(PAST, PAST))


def test_a_hash_is_remembered_until_the_file_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_SETTLED_SECONDS", -1.0)
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    settle(path)
    first = room.file_digest(path)
    notes = list((user_cache() / "digests").glob("*.json"))
    assert len(notes) == 1
    edit(notes[0], sha256="remembered")
    assert room.file_digest(path) == "remembered"
    before = path.stat()
    flip(path)
    settle(path)
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # clocks of file systems tick coarsely
        settle(path)
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)  # the change time tells
    assert room.file_digest(path) not in ("remembered", first)


def test_a_file_just_written_is_not_remembered(folder: Path) -> None:
    digests_of(folder)
    assert not (user_cache() / "digests").exists()


def test_without_a_cache_folder_hashes_are_still_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = digests_of(folder)
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(room, "_SETTLED_SECONDS", -1.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert digests_of(folder) == expected


def test_a_damaged_note_is_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_SETTLED_SECONDS", -1.0)
    expected = digests_of(folder)
    for note in (user_cache() / "digests").glob("*.json"):
        note.write_text("{")
    assert digests_of(folder) == expected


def test_a_first_stage_is_its_encoder(folder: Path) -> None:
    """z does not depend on how it would be decoded: another decoder leaves caches and nets as they are."""
    from safetensors.torch import load_file, save_file

    before = digests_of(folder)
    weights = folder / "vae/diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    decoder = next(key for key in tensors if key.startswith("decoder."))
    save_file({**tensors, decoder: tensors[decoder] + 1}, weights)
    assert changed(before, digests_of(folder)) == set()
    encoder = next(key for key in tensors if key.startswith("encoder."))
    save_file({**tensors, encoder: tensors[encoder] + 1}, weights)
    assert changed(before, digests_of(folder)) == {"first_stage"}


def test_a_truncated_first_stage_is_named(folder: Path) -> None:
    weights = folder / "vae/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(WeightsUnavailable, match="truncated"):
        digests_of(folder)
