"""A folder that is no model, or a damaged one, is refused in one line that says what and where."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ldznet_cli.errors import LdznetError, ModelError, WeightsUnavailable
from ldznet_cli.ldm import FrozenLDM, resolve

UNET_FILE = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tiny_ldm: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(tiny_ldm, tmp_path / "model")


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = {key: value.clone() for key, value in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


def refusal(folder: Path, **options: Any) -> LdznetError:
    with pytest.raises(LdznetError) as caught:
        FrozenLDM.load(folder, **options)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", ["nowhere", "./a/b/c", "~/no/such/model"])
def test_neither_folder_nor_hub_id(name: str) -> None:
    with pytest.raises(
        WeightsUnavailable, match=f"no folder {name} here, and a hub id has the form owner/name"
    ):
        resolve(name)


def test_a_single_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="is a file: a diffusers folder is needed"):
        resolve(folder / "model_index.json")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path), WeightsUnavailable)
    (tmp_path / "config.json").write_text('{"_class_name": "ControlNetModel"}')
    assert "no diffusers folder of a latent diffusion model" in str(refusal(tmp_path))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_part_that_the_index_names_is_missing(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    error = refusal(folder)
    assert isinstance(error, WeightsUnavailable)
    assert f"names a {part}, but {part}/ is missing" in str(error)


def test_a_missing_first_stage_may_come_from_elsewhere(folder: Path, tiny_ldm: Path) -> None:
    shutil.rmtree(folder / "vae")
    assert FrozenLDM.load(folder, vae=tiny_ldm).encode_image(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 8, 8)


@pytest.mark.parametrize("keep", [0, 4, 1000, 100_000])
def test_truncated_weights(folder: Path, keep: int) -> None:
    whole = (folder / UNET_FILE).read_bytes()
    (folder / UNET_FILE).write_bytes(whole[:keep])
    error = refusal(folder)
    assert isinstance(error, WeightsUnavailable)
    assert f"{UNET_FILE} is truncated or no safetensors file" in str(error)


def test_pickles_are_not_read(folder: Path) -> None:
    (folder / UNET_FILE).rename(folder / "unet" / "diffusion_pytorch_model.bin")
    error = refusal(folder)
    assert isinstance(error, WeightsUnavailable)
    assert "pickles and are not read, convert them to safetensors" in str(error)


def test_sharded_weights_are_one(folder: Path, tiny_ldm: Path) -> None:
    tensors = load_file(folder / UNET_FILE)
    (folder / UNET_FILE).unlink()
    names = [
        "diffusion_pytorch_model-00001-of-00002.safetensors",
        "diffusion_pytorch_model-00002-of-00002.safetensors",
    ]
    place = {key: names[i % 2] for i, key in enumerate(tensors)}
    for name in names:
        save_file(
            {key: value for key, value in tensors.items() if place[key] == name}, folder / "unet" / name
        )
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": place}))
    sharded, whole = FrozenLDM.load(folder).unet_state_dict(), FrozenLDM.load(tiny_ldm).unet_state_dict()
    assert sharded.keys() == whole.keys()
    assert all(torch.equal(sharded[key], whole[key]) for key in whole)
    (folder / "unet" / names[1]).unlink()
    assert f"names {names[1]}, which is not in its folder" in str(refusal(folder))
    index.write_text(json.dumps({"weight_map": {"x": "../../vae/diffusion_pytorch_model.safetensors"}}))
    assert "which is not in its folder" in str(refusal(folder))


def test_half_precision_files_serve_where_there_are_no_others(folder: Path) -> None:
    (folder / UNET_FILE).rename(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    assert FrozenLDM.load(folder).blocks == (3, 4, 5, 6, 7)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    edit_tensors(folder / UNET_FILE, lambda tensors: tensors.pop("conv_in.weight"))
    error = refusal(folder)
    assert isinstance(error, ModelError)
    assert "by config.json there is conv_in.weight (8, 4, 3, 3), the weights lack it" in str(error)


def test_a_misshapen_tensor_is_named(folder: Path) -> None:
    edit_tensors(folder / UNET_FILE, lambda tensors: tensors.update({"conv_in.bias": torch.zeros(9)}))
    assert "by config.json conv_in.bias is (8,), the weights have (9,)" in str(refusal(folder))


def test_a_tensor_of_another_architecture_is_named(folder: Path) -> None:
    edit_tensors(folder / UNET_FILE, lambda tensors: tensors.update({"lora.up.weight": torch.zeros(2, 2)}))
    assert "1 tensors are not in config.json's model, such as lora.up.weight" in str(refusal(folder))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"addition_embed_type": "text_time"}, "is Stable Diffusion XL's"),
        ({"in_channels": 9}, "takes 9 channels, as inpainting models do"),
        (
            {"class_embed_type": "projection"},
            "has class_embed_type 'projection': it takes more than z, text and",
        ),
        ({"num_class_embeds": 1000}, "has num_class_embeds 1000: it takes more"),
        ({"encoder_hid_dim": 4096}, "has encoder_hid_dim 4096: it takes more"),
        ({"cross_attention_dim": 48}, "takes text of width 48, but the text encoder gives 32"),
        ({"_class_name": "SD3Transformer2DModel"}, "is a SD3Transformer2DModel"),
    ],
    ids=["sdxl", "inpainting", "unclip", "upscaler", "projected-text", "text-width", "transformer"],
)
def test_a_unet_of_another_kind(folder: Path, changes: dict[str, Any], words: str) -> None:
    edit_json(folder / "unet" / "config.json", **changes)
    for blocks in ("paper", ()):  # where it is left alone, too: what is made for it is of no use
        error = refusal(folder, blocks=blocks)
        assert isinstance(error, ModelError)
        assert words in str(error)


def test_a_first_stage_of_another_kind(folder: Path) -> None:
    edit_json(folder / "vae" / "config.json", latent_channels=16)
    assert "16 latent channels: Stable Diffusion has 4" in str(refusal(folder))
    edit_json(folder / "vae" / "config.json", _class_name="VQModel")
    assert "is a VQModel: a first stage is an AutoencoderKL or an AutoencoderTiny" in str(refusal(folder))


def test_a_text_encoder_of_another_kind(folder: Path) -> None:
    edit_json(folder / "text_encoder" / "config.json", architectures=["T5EncoderModel"])
    assert "is a T5EncoderModel" in str(refusal(folder))


def test_a_vocabulary_larger_than_its_encoders(folder: Path) -> None:
    vocabulary = json.loads((folder / "tokenizer" / "vocab.json").read_text())
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({**vocabulary, "extra": len(vocabulary)}))
    assert "has 522 tokens, its encoder's config.json 521" in str(refusal(folder))


def test_a_damaged_configuration(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text('{"sample_size": 1')
    assert "config.json is not readable as JSON" in str(refusal(folder))
    (folder / "unet" / "config.json").write_text("[]")
    assert "holds a JSON list, not an object" in str(refusal(folder))
    (folder / "unet" / "config.json").unlink()
    assert isinstance(refusal(folder), WeightsUnavailable)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": "b"}'])
def test_a_damaged_vocabulary(folder: Path, content: str) -> None:
    (folder / "tokenizer" / "vocab.json").write_text(content)
    assert "holds a damaged CLIP tokenizer" in str(refusal(folder))


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("unet", {"down_block_types": ["NoSuchBlock"] * 3}),
        ("unet", {"block_out_channels": [8]}),
        ("vae", {"block_out_channels": "wide"}),
        ("text_encoder", {"num_attention_heads": 5}),
        ("text_encoder", {"hidden_act": "no-such-function"}),
    ],
    ids=str,
)
def test_a_configuration_that_describes_nothing(folder: Path, part: str, changes: dict[str, Any]) -> None:
    edit_json(folder / part / "config.json", **changes)
    error = refusal(folder)
    assert isinstance(error, ModelError)
    assert f"{part}/config.json describes no model that can be built" in str(error)


def test_a_missing_vocabulary(folder: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).unlink()
    assert isinstance(refusal(folder), WeightsUnavailable)


def test_a_first_stage_with_the_hubs_old_names(folder: Path, tiny_ldm: Path) -> None:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for key in [key for key in tensors if ".attentions.0." in key]:
            stem, kind = key.rsplit(".", 1)
            for new, name in old.items():
                stem = stem.replace(new, name)
            tensors[f"{stem}.{kind}"] = tensors.pop(key)

    edit_tensors(folder / "vae" / "diffusion_pytorch_model.safetensors", rename)
    pixels = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64).contiguous()
    z, expected = FrozenLDM.load(folder).encode_image(pixels), FrozenLDM.load(tiny_ldm).encode_image(pixels)
    assert torch.equal(z, expected)
