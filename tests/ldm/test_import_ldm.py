"""Single-file checkpoints become diffusers folders: tensor for tensor, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ldznet_cli.errors import LdznetError, ModelError, UsageError
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.ldm.clip_vocabulary import find_vocabulary, write_tokenizer
from ldznet_cli.ldm.hub import WEIGHT_STEMS
from ldznet_cli.ldm.import_ldm import import_ldm
from ldznet_cli.ldm.layout import FROZEN, RAW, unet_shape
from ldznet_cli.ldm.noise import Schedule
from ldznet_cli.ldm.record import read_record, verify
from ldznet_cli.ldm.single_file import SCHEDULER
from ldznet_cli.nets.builders import paper
from ldznet_cli.nets.official import official_names
from ldznet_cli.nets.segmenters import skeleton
from tests.ldm.official import VAE_CONFIG, load_recipe, official_unet, vae_shapes
from tests.single_file import LENGTH, SingleFile, single_file
from tests.tiny import write_tokenizer as write_words

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tokenizer, as a pipeline has it."""
    folder = tmp_path_factory.mktemp("words")
    write_words(folder / "tokenizer", LENGTH)
    return str(folder)


@pytest.fixture(scope="module")
def sd1() -> SingleFile:
    return single_file("1.x")


def written(state: State, folder: Path) -> Path:
    path = folder / "sd.safetensors"
    save_file({key: value.contiguous().clone() for key, value in state.items()}, path)
    return path


def tensors(folder: Path, part: str) -> State:
    return {
        key.removeprefix("text_model."): value
        for key, value in load_file(folder / part / f"{WEIGHT_STEMS[part]}.safetensors").items()
    }


def same(found: State, expected: State) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


@torch.no_grad()
def test_stable_diffusion_1(sd1: SingleFile, words: str, tmp_path: Path) -> None:
    out = tmp_path / "ldm"
    done = import_ldm(written(sd1.state, tmp_path), out, tokenizer=words)
    assert (done.version, done.chosen) == ("1.x", "raw")
    for name, model in sd1.parts.items():
        assert same(tensors(out, name), model.state_dict()), name
    assert done.parameters["unet"] == sum(p.numel() for p in sd1.parts["unet"].parameters())
    assert done.ignored["the UNet's other weights"] == len(sd1.ema) + 2
    ldm = FrozenLDM.load(out, blocks=None)
    assert plain(sd1.parts["unet"].config) == plain(ldm.unet.unet.config)
    text, z = ldm.encode_text(["a photo"]), torch.ones(1, 4, 8, 8)
    expected = sd1.parts["unet"](z, 400, encoder_hidden_states=text).sample
    assert torch.allclose(ldm.predict_noise(z, text, 400), expected, atol=1e-5)
    ids = ldm.text_encoder.tokens(["a photo"])
    assert torch.allclose(text, sd1.parts["text_encoder"](input_ids=ids).last_hidden_state, atol=1e-5)
    record = read_record(out)
    assert record is not None
    assert record.source == {"file": "sd.safetensors", "weights": "raw", "version": "1.x"}
    assert verify(out) == record.files
    assert not list(tmp_path.glob(".ldm*"))


def plain(config: Any) -> dict[str, Any]:
    """Lists and tuples as one."""
    return {key: value for key, value in json.loads(json.dumps(dict(config))).items() if key[0] != "_"}


def test_the_average(sd1: SingleFile, words: str, tmp_path: Path) -> None:
    path = written(sd1.state, tmp_path)
    assert import_ldm(path, tmp_path / "ldm", "ema", tokenizer=words).chosen == "ema"
    assert same(tensors(tmp_path / "ldm", "unet"), sd1.ema)
    pruned = {key: value for key, value in sd1.state.items() if not key.startswith("model_ema.")}
    with pytest.raises(ModelError, match="averaged weights are not in it, such as model_ema.diffusion_model"):
        import_ldm(written(pruned, tmp_path), tmp_path / "other", "ema", tokenizer=words)


@torch.no_grad()
def test_stable_diffusion_2(words: str, tmp_path: Path) -> None:
    sd2, out = single_file("2.x"), tmp_path / "ldm"
    path = written(sd2.state, tmp_path)
    with pytest.raises(UsageError, match="--prediction epsilon"):
        import_ldm(path, out, tokenizer=words)
    assert import_ldm(path, out, tokenizer=words, prediction="v_prediction").version == "2.x"
    for name, model in sd2.parts.items():
        assert same(tensors(out, name), model.state_dict()), name
    ldm = FrozenLDM.load(out, blocks=None)
    assert ldm.schedule.prediction_type == "v_prediction"
    assert ldm.unet_config["sample_size"] == 96
    assert ldm.unet_config["attention_head_dim"] == [1, 2, 2]
    ids = ldm.text_encoder.tokens(["a photo"])
    assert ids[0, -1] == find_vocabulary(words).tokens["!"]  # fills up, as published with 2.x
    expected = sd2.parts["text_encoder"](input_ids=ids).last_hidden_state
    assert torch.allclose(ldm.encode_text(["a photo"]), expected, atol=1e-5)


def test_the_frozen_model_inside_a_checkpoint_of_ldznet(sd1: SingleFile, words: str, tmp_path: Path) -> None:
    """There `model.diffusion_model.` is the net, and the UNet is under another name."""
    held = {key: value for key, value in sd1.state.items() if not key.startswith((RAW, "model_ema."))}
    held |= {FROZEN + key.removeprefix(RAW): value for key, value in sd1.state.items() if key.startswith(RAW)}
    held |= {key: value + 5 for key, value in sd1.state.items() if key.startswith((RAW, "model_ema."))}
    held |= {RAW + "final.0.weight": torch.zeros(1, 1, 3, 3)}
    assert import_ldm(written(held, tmp_path), tmp_path / "ldm", tokenizer=words).chosen == "frozen"
    assert same(tensors(tmp_path / "ldm", "unet"), sd1.parts["unet"].state_dict())
    without = {key: value for key, value in held.items() if not key.startswith(FROZEN)}
    with pytest.raises(ModelError, match="seems to be a checkpoint of LD-ZNet"):
        import_ldm(written(without, tmp_path), tmp_path / "other", tokenizer=words)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_all_of_it_in_half_precision(sd1: SingleFile, words: str, tmp_path: Path, dtype: torch.dtype) -> None:
    """Some programs store every tensor so, the noise schedule too."""
    schedule = {"alphas_cumprod": Schedule.from_config(SCHEDULER).alphas_cumprod}
    half = {
        key: value.to(dtype) if value.is_floating_point() else value
        for key, value in (sd1.state | schedule).items()
    }
    assert import_ldm(written(half, tmp_path), tmp_path / "ldm", tokenizer=words).version == "1.x"


def _without(prefix: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if not key.startswith(prefix)}


def _with(key: str, *shape: int) -> Callable[[State], State]:
    return lambda state: {**state, key: torch.zeros(shape)}


@pytest.mark.parametrize(
    ("change", "words_in_message"),
    [
        (_with("conditioner.embedders.0.x", 1), "seems to be Stable Diffusion XL"),
        (_with("lora_te_text.lora_up.weight", 1), "seems to be a LoRA file"),
        (_without("first_stage_model."), "no first stage in it"),
        (_without("cond_stage_model."), "no text encoder in it"),
        (
            _without(RAW + "middle_block.1.norm.bias"),
            "missing key mid_block.attentions.0.norm.bias of shape (128,)",
        ),
        (
            _without("first_stage_model.encoder.conv_out.bias"),
            "missing key encoder.conv_out.bias of shape (8,)",
        ),
        (
            _without("cond_stage_model.transformer.text_model.final_layer_norm.bias"),
            "missing key final_layer_norm",
        ),
        (_with(RAW + "out.0.bias", 3), "conv_norm_out.bias has shape (3,), expected (64,)"),
        (
            _with(RAW + "label_emb.0.0.bias", 3),
            "1 keys have no place in Stable Diffusion, such as model.diffusion",
        ),
        (_with(RAW + "input_blocks.0.0.weight", 64, 9, 3, 3), "takes 9 channels, as inpainting models do"),
        (_without("first_stage_model.encoder."), "no encoder in its first stage"),
        (_with("alphas_cumprod", 1000), "its noise schedule (alphas_cumprod) is not Stable Diffusion's"),
    ],
)
def test_files_that_are_no_stable_diffusion(
    change: Callable[[State], State], words_in_message: str, sd1: SingleFile, words: str, tmp_path: Path
) -> None:
    path = written(change(sd1.state), tmp_path)
    with pytest.raises(LdznetError) as caught:
        import_ldm(path, tmp_path / "ldm", tokenizer=words)
    assert words_in_message in str(caught.value)
    assert str(path) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_tokenizer_of_another_size(sd1: SingleFile, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "words", find_vocabulary(_gz(tmp_path)), LENGTH, "!")
    with pytest.raises(
        ModelError, match=r"has 515 tokens, the text encoder of .* 521: give its own by --tokenizer"
    ):
        import_ldm(written(sd1.state, tmp_path), tmp_path / "ldm", tokenizer=str(tmp_path / "words"))


def _gz(folder: Path) -> str:
    import gzip

    with gzip.open(folder / "bpe.txt.gz", "wt", encoding="utf-8") as file:
        file.write('"bpe_simple_vocab\ni n\n')
    return str(folder / "bpe.txt.gz")


def test_an_out_that_is_taken(sd1: SingleFile, words: str, tmp_path: Path) -> None:
    path = written(sd1.state, tmp_path)
    with pytest.raises(UsageError, match="is there already; name a new folder"):
        import_ldm(path, tmp_path, tokenizer=words)


def test_the_shape_at_full_size() -> None:
    config = paper("znet")
    values = skeleton(config).state_dict()
    shapes = {name.replace(".", ""): tuple(values[key].shape) for key, name in official_names(config).items()}
    shape = unet_shape(shapes)
    assert shape.block_out_channels == (320, 640, 1280, 1280)
    assert shape.attention == (True, True, True, False)
    assert shape.layers_per_block == (2, 2, 2, 2)
    assert (shape.cross_attention_dim, shape.use_linear_projection, shape.in_channels) == (768, False, 4)


def test_clips_own_vocabulary(shared: Path, tmp_path: Path) -> None:
    """Numbers that everyone who has used CLIP knows: 49406 begins, 320 is "a", 2368 a cat, 49407 ends."""
    from transformers import CLIPTokenizer

    vocabulary = find_vocabulary(str(shared / "data/clip-bpe/bpe_simple_vocab_16e6.txt.gz"))
    assert len(vocabulary.tokens) == 49_408
    write_tokenizer(tmp_path / "words", vocabulary, 77, "<|endoftext|>")
    again = find_vocabulary(str(tmp_path / "words"))
    assert again == vocabulary
    ids = CLIPTokenizer.from_pretrained(str(tmp_path / "words"))(["a photo of a cat"])["input_ids"][0]
    assert ids == [49406, 320, 1125, 539, 320, 2368, 49407]


def test_the_recorded_model(
    parity: Path, official_ldm: Path, sd1: SingleFile, words: str, tmp_path: Path
) -> None:
    """The oracle's small Stable Diffusion, whose features and moments test_parity holds against the authors'."""
    from diffusers import AutoencoderKL

    recipe, vae = load_recipe(parity), AutoencoderKL(**VAE_CONFIG)
    state = official_unet(parity)
    state |= {"first_stage_model." + key: recipe.param("vae", key, shape) for key, shape in vae_shapes(vae)}
    state |= {key: value for key, value in sd1.state.items() if key.startswith("cond_stage_model.")}
    import_ldm(written(state, tmp_path), tmp_path / "ldm", tokenizer=words)
    for part in ("unet", "vae"):
        assert same(tensors(tmp_path / "ldm", part), tensors(official_ldm, part))
        configs = [
            json.loads((f / part / "config.json").read_text()) for f in (tmp_path / "ldm", official_ldm)
        ]
        assert configs[0] == configs[1]
