"""z, text and features are those of diffusers' own pipeline over the same folder, in every shape of folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ldznet_cli.errors import ModelError, PromptError, UsageError, WeightsUnavailable
from ldznet_cli.ldm import FrozenLDM
from tests.tiny import tiny_ldm as build

PROMPTS = ["a photo of a red lamp.", "", "Élan, 漢字 + 2 cups!"]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def ldm(tiny_ldm: Path) -> FrozenLDM:
    return FrozenLDM.load(tiny_ldm, blocks=None)


@pytest.fixture(scope="module")
def pipeline(tiny_ldm: Path) -> Any:
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(tiny_ldm)


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return drawn(3, 3, 72, 104).clamp(-1, 1)


def test_what_it_says_about_itself(ldm: FrozenLDM, tiny_ldm: Path) -> None:
    assert (ldm.name, ldm.folder, ldm.blocks) == (tiny_ldm.name, tiny_ldm, tuple(range(11)))
    assert (ldm.latent_factor, ldm.text_length, ldm.default_size) == (8, 24, 128)
    assert (ldm.device, ldm.dtype) == (torch.device("cpu"), torch.float32)
    assert ldm.unet_config["cross_attention_dim"] == 32
    assert repr(FrozenLDM.load(tiny_ldm)).startswith("FrozenLDM('ldm', blocks=(3, 4, 5, 6, 7)")


def test_z_is_the_pipelines(ldm: FrozenLDM, pipeline: Any, pixels: Tensor) -> None:
    with torch.no_grad():
        posterior = pipeline.vae.encode(pixels).latent_dist
    noise = drawn(3, 4, 9, 13, seed=1)
    scale = pipeline.vae.config.scaling_factor
    torch.testing.assert_close(ldm.encode_image(pixels), posterior.mode() * scale, atol=1e-6, rtol=0)
    sample = (posterior.mean + posterior.std * noise) * scale
    torch.testing.assert_close(ldm.encode_image(pixels, noise), sample, atol=1e-6, rtol=0)


def test_text_is_the_pipelines(ldm: FrozenLDM, pipeline: Any) -> None:
    expected, _ = pipeline.encode_prompt(PROMPTS, "cpu", 1, False)
    text = ldm.encode_text(PROMPTS)
    assert text.shape == (3, 24, 32)
    torch.testing.assert_close(text, expected, atol=1e-6, rtol=0)


def test_noise_is_the_pipelines(ldm: FrozenLDM, pipeline: Any) -> None:
    z_t, text, t = drawn(3, 4, 9, 13), ldm.encode_text(PROMPTS), torch.tensor([1, 400, 999])
    with torch.no_grad():
        expected = pipeline.unet(z_t, t, text).sample
    torch.testing.assert_close(ldm.predict_noise(z_t, text, t), expected, atol=1e-5, rtol=0)


def test_velocity_models_give_their_noise(tmp_path: Path, ldm: FrozenLDM) -> None:
    folder = build(tmp_path, scheduler={"prediction_type": "v_prediction"})
    velocity = FrozenLDM.load(folder, blocks=None)
    z_t, text = drawn(1, 4, 8, 8), ldm.encode_text(["lamp"])
    output = ldm.predict_noise(z_t, text, 400)
    abar = velocity.schedule.alphas_cumprod[400].item()
    expected = abar**0.5 * output + (1 - abar) ** 0.5 * z_t
    torch.testing.assert_close(velocity.predict_noise(z_t, text, 400), expected, atol=1e-5, rtol=0)


def test_a_batch_equals_its_members(ldm: FrozenLDM, pixels: Tensor) -> None:
    z, text, noise = ldm.encode_image(pixels), ldm.encode_text(PROMPTS), drawn(3, 4, 9, 13)
    t = torch.tensor([300, 404, 499])
    features = ldm.features(z, text, t, noise)
    for i, one in enumerate(PROMPTS):
        alone_z, alone_text = ldm.encode_image(pixels[i : i + 1]), ldm.encode_text([one])
        alone = ldm.features(alone_z, alone_text, int(t[i]), noise[i : i + 1])
        torch.testing.assert_close(alone_z, z[i : i + 1], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone_text, text[i : i + 1], atol=1e-5, rtol=0)
        for index, feature in alone.items():
            torch.testing.assert_close(feature, features[index][i : i + 1], atol=1e-4, rtol=0)


def test_one_timestep_means_the_same_for_all(ldm: FrozenLDM) -> None:
    z, text, noise = drawn(2, 4, 8, 8), drawn(2, 24, 32), drawn(2, 4, 8, 8, seed=1)
    one, each = ldm.features(z, text, 333, noise), ldm.features(z, text, torch.tensor([333, 333]), noise)
    assert all(torch.equal(one[index], each[index]) for index in ldm.blocks)


def test_features_depend_on_image_phrase_timestep_and_noise(ldm: FrozenLDM) -> None:
    z, text, noise = drawn(1, 4, 8, 8), ldm.encode_text(["lamp"]), drawn(1, 4, 8, 8, seed=1)
    base = ldm.features(z, text, 400, noise)[5]
    others = [
        ldm.features(z + 0.5, text, 400, noise)[5],
        ldm.features(z, ldm.encode_text(["cup"]), 400, noise)[5],
        ldm.features(z, text, 300, noise)[5],
        ldm.features(z, text, 400, noise + 0.5)[5],
    ]
    assert all((other - base).abs().max() > 1e-2 for other in others)


def test_a_prompt_beyond_the_encoders_length(ldm: FrozenLDM) -> None:
    assert ldm.encode_text(["? " * 22]).shape == (1, 24, 32)
    with pytest.raises(PromptError, match=r"3 tokens too long: the text encoder takes 22, this one has 25"):
        ldm.encode_text(["lamp", "? " * 25])


def test_pixels_that_do_not_fit_the_latent(ldm: FrozenLDM) -> None:
    with pytest.raises(UsageError, match="100x72 pixels: both sides must be multiples of 8"):
        ldm.encode_image(torch.zeros(1, 3, 72, 100))


def test_half_precision_storage_computes_in_single(tmp_path: Path, pixels: Tensor) -> None:
    """The bundled weights are stored in float16: rounded once, they compute as float32 weights do."""
    half = FrozenLDM.load(build(tmp_path / "half", dtype=torch.float16))
    for path in build(tmp_path / "single").glob("*/*.safetensors"):
        save_file({key: value.half().float() for key, value in load_file(path).items()}, path)
    rounded = FrozenLDM.load(tmp_path / "single")
    z, text, noise = half.encode_image(pixels), drawn(3, 24, 32), drawn(3, 4, 9, 13)
    assert half.dtype == z.dtype == torch.float32
    assert torch.equal(z, rounded.encode_image(pixels))
    expected = rounded.features(z, text, 400, noise)
    assert all(torch.equal(f, expected[index]) for index, f in half.features(z, text, 400, noise).items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computing_in_half_precision(
    tiny_ldm: Path, ldm: FrozenLDM, pixels: Tensor, dtype: torch.dtype
) -> None:
    half = FrozenLDM.load(tiny_ldm, dtype=dtype)
    z, text, noise = half.encode_image(pixels), half.encode_text(PROMPTS), drawn(3, 4, 9, 13)
    features = half.features(z, text, 400, noise)
    assert {z.dtype, text.dtype, *(f.dtype for f in features.values())} == {dtype}
    expected = ldm.features(ldm.encode_image(pixels), ldm.encode_text(PROMPTS), 400, noise)
    for index, feature in features.items():
        error = (feature.float() - expected[index]).norm() / expected[index].norm()
        assert error < (0.06 if dtype == torch.bfloat16 else 0.01)


def test_weights_are_in_memory_once(tmp_path: Path) -> None:
    """Packed, and the file let go; or mapped, where they are not packed."""
    ldm = FrozenLDM.load(folder := build(tmp_path))
    assert ldm.text_encoder is not None
    words = ldm.text_encoder.model.get_input_embeddings().weight
    assert words.data_ptr() in mapped(folder / "text_encoder" / "model.safetensors")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    assert ldm.unet is not None
    kept = list(ldm.unet.unet.parameters())
    assert all(weight.data_ptr() in mapped(file) for weight in kept)
    assert len(mapped(file).ranges) <= len(kept)


class mapped:  # noqa: N801 (reads as a place in the test above)
    """The addresses at which this process has a file mapped."""

    def __init__(self, path: Path) -> None:
        lines = Path("/proc/self/maps").read_text().splitlines()
        ranges = [line.split()[0].split("-") for line in lines if line.endswith(str(path))]
        self.ranges = [(int(start, 16), int(end, 16)) for start, end in ranges]

    def __contains__(self, address: int) -> bool:
        return any(start <= address < end for start, end in self.ranges)


def test_nothing_is_trained(ldm: FrozenLDM) -> None:
    assert ldm.unet is not None
    assert ldm.text_encoder is not None
    modules = (ldm.unet.unet, ldm.first_stage.autoencoder, ldm.text_encoder.model)
    assert not any(p.requires_grad for module in modules for p in module.parameters())
    assert not any(module.training for module in modules)
    text = ldm.encode_text(["lamp"])
    assert not text.requires_grad
    assert not text.is_inference()  # nets train on it: autograd may save it


def test_another_first_stage(tiny_ldm: Path, tmp_path: Path, ldm: FrozenLDM, pixels: Tensor) -> None:
    other = build(tmp_path / "other", first_stage="tiny")
    by_pipeline = FrozenLDM.load(tiny_ldm, vae=other)
    by_itself = FrozenLDM.load(tiny_ldm, vae=str(other / "vae"))
    z = by_pipeline.encode_image(pixels)
    assert torch.equal(z, by_itself.encode_image(pixels))
    assert not torch.allclose(z, ldm.encode_image(pixels))
    with torch.no_grad():
        assert torch.equal(z, by_itself.first_stage.autoencoder.encode(pixels).latents)
    with pytest.raises(UsageError, match="no posterior"):
        by_itself.encode_image(pixels, drawn(3, 4, 9, 13))
    assert by_pipeline.digests.first_stage != ldm.digests.first_stage
    assert by_pipeline.digests.unet == ldm.digests.unet


def test_a_lone_first_stage_gives_z_only(tiny_ldm: Path, ldm: FrozenLDM, pixels: Tensor) -> None:
    alone = FrozenLDM.load(tiny_ldm / "vae")
    assert torch.equal(alone.encode_image(pixels), ldm.encode_image(pixels))
    assert (alone.blocks, alone.default_size, alone.digests.text) == ((), 384, None)
    with pytest.raises(ModelError, match="no text encoder"):
        alone.encode_text(["lamp"])
    with pytest.raises(ModelError, match="no text encoder"):
        _ = alone.text_length
    with pytest.raises(ModelError, match="no UNet"):
        _ = alone.unet_config
    with pytest.raises(ModelError, match="no UNet"):
        alone.unet_state_dict()
    with pytest.raises(ModelError, match="z and text only"):
        alone.features(drawn(1, 4, 8, 8), drawn(1, 24, 32), 400, drawn(1, 4, 8, 8))


def test_real_weights_of_a_lone_first_stage(shared: Path) -> None:
    """TAESD: latents come out already scaled, so that they have about unit variance on a plain picture."""
    taesd = FrozenLDM.load(shared / "data" / "taesd")
    z = taesd.encode_image(torch.linspace(-1, 1, 64).expand(1, 3, 64, 64).contiguous())
    assert z.shape == (1, 4, 8, 8)
    assert 0.3 < z.std() < 3


@pytest.fixture
def without_unet(tiny_ldm: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "no-unet"
    shutil.copytree(tiny_ldm, folder)
    shutil.rmtree(folder / "unet")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": [None, None]}))
    return folder


def test_without_a_unet_there_are_z_and_text(without_unet: Path, ldm: FrozenLDM, pixels: Tensor) -> None:
    rest = FrozenLDM.load(without_unet)
    assert torch.equal(rest.encode_image(pixels), ldm.encode_image(pixels))
    assert torch.equal(rest.encode_text(PROMPTS), ldm.encode_text(PROMPTS))
    assert rest.digests.unet is None
    for blocks in (None, [3]):
        with pytest.raises(ModelError, match="no UNet"):
            FrozenLDM.load(without_unet, blocks=blocks)


def test_no_blocks_leave_the_unet_unread(tiny_ldm: Path, tmp_path: Path, ldm: FrozenLDM) -> None:
    folder = tmp_path / "config-only"
    shutil.copytree(tiny_ldm, folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsUnavailable, match=r"unet holds no diffusion_pytorch_model.safetensors"):
        FrozenLDM.load(folder)
    light = FrozenLDM.load(folder, blocks=())
    assert (light.blocks, light.unet_config) == ((), ldm.unet_config)
    with pytest.raises(ModelError, match="z and text only"):
        light.predict_noise(drawn(1, 4, 8, 8), drawn(1, 24, 32), 400)


def test_the_unets_weights_for_nets_to_start_from(tiny_ldm: Path) -> None:
    cut = FrozenLDM.load(tiny_ldm, blocks=[0])
    whole, offered = (
        load_file(tiny_ldm / "unet" / "diffusion_pytorch_model.safetensors"),
        cut.unet_state_dict(),
    )
    assert offered.keys() == whole.keys()
    assert all(torch.equal(offered[key], whole[key]) for key in whole)


def test_text_encoders_as_older_and_newer_libraries_save_them(tiny_ldm: Path, tmp_path: Path) -> None:
    """Keys with and without text_model., and the position numbers that old files hold."""
    from safetensors.torch import load_file, save_file

    expected = FrozenLDM.load(tiny_ldm, blocks=()).encode_text(PROMPTS)
    for name in ("newer", "older"):
        shutil.copytree(tiny_ldm, tmp_path / name)
        path = tmp_path / name / "text_encoder" / "model.safetensors"
        tensors = load_file(path)
        if name == "newer":
            tensors = {key.removeprefix("text_model."): value for key, value in tensors.items()}
        else:
            tensors["text_model.embeddings.position_ids"] = torch.arange(24)[None]
        save_file(tensors, path)
        assert torch.equal(FrozenLDM.load(tmp_path / name, blocks=()).encode_text(PROMPTS), expected)


@pytest.mark.parametrize("device", ["nowhere", "meta"])
def test_an_unknown_device(tiny_ldm: Path, device: str) -> None:
    with pytest.raises(UsageError, match=f"device '{device}'"):
        FrozenLDM.load(tiny_ldm, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_this_machine_lacks(tiny_ldm: Path) -> None:
    with pytest.raises(UsageError, match="'cuda' is not available"):
        FrozenLDM.load(tiny_ldm, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_another_device(tiny_ldm: Path, ldm: FrozenLDM, pixels: Tensor) -> None:
    there = FrozenLDM.load(tiny_ldm, device="cuda")
    z, text, noise = there.encode_image(pixels), there.encode_text(PROMPTS), drawn(3, 4, 9, 13)
    expected = ldm.features(ldm.encode_image(pixels), ldm.encode_text(PROMPTS), 400, noise)
    for index, feature in there.features(z, text, 400, noise).items():
        assert feature.device.type == "cuda"
        torch.testing.assert_close(feature.cpu(), expected[index], atol=5e-3, rtol=5e-3)
