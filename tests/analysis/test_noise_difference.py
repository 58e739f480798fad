"""The map is the paper's formula, the same for the same question, and honest about what it cannot be had from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ldznet_cli.analysis.noise_difference import NoiseDifferencePredictor, stretched
from ldznet_cli.errors import ModelError, PromptError
from ldznet_cli.inference import Predictor
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.samples.geometry import Geometry, to_tensor

SHA = "7" * 64
GEOMETRY = Geometry("aligned", 64)


@pytest.fixture(scope="module")
def ldm(tiny_ldm):
    return FrozenLDM.load(tiny_ldm, blocks=None)


@pytest.fixture(scope="module")
def image():
    picture = Image.new("RGB", (90, 60), "white")
    picture.paste("red", (10, 10, 50, 40))
    return picture


def test_the_map_is_the_mean_norm_of_the_difference(ldm, image):
    predictor = NoiseDifferencePredictor(ldm, GEOMETRY, draws=2, seed=3)
    (found,) = predictor.predict(image, SHA, ["red lamp"])
    z = ldm.encode_image(to_tensor(image, GEOMETRY))
    norms = []
    for index in range(2):
        draw = predictor.policy.draw(SHA, "red lamp", index)
        assert 300 <= draw.timestep < 500
        noise = draw.noise(tuple(z.shape[1:]))[None]
        abar = ldm.schedule.alphas_cumprod[draw.timestep]
        z_t = float(abar.sqrt()) * z + float((1 - abar).sqrt()) * noise
        named, unnamed = (
            ldm.predict_noise(z_t, ldm.encode_text([prompt]), draw.timestep)[0]
            for prompt in ("a photo of a red lamp.", "")
        )
        norms.append((named - unnamed).square().sum(0).sqrt())
    mean = torch.stack(norms).mean(0)
    expected = (mean - mean.min()) / (mean.max() - mean.min())
    np.testing.assert_allclose(found.prob, expected.numpy(), atol=2e-3)
    assert found.geometry.grid == tuple(z.shape[2:])
    assert (found.prob.min(), found.prob.max()) == (0.0, 1.0)


def test_an_answer_depends_on_its_own_phrase_alone(ldm, image):
    predictor = NoiseDifferencePredictor(ldm, GEOMETRY, draws=1)
    assert isinstance(predictor, Predictor)
    alone = predictor.predict(image, SHA, ["tree"])[0].prob
    among = predictor.predict(image, SHA, ["red lamp", " tree "])
    np.testing.assert_array_equal(among[1].prob, alone)
    assert not np.array_equal(among[0].prob, alone)


def test_other_draws_are_other_maps_and_say_so(ldm, image):
    first, second = (NoiseDifferencePredictor(ldm, GEOMETRY, draws=1, seed=seed) for seed in (0, 1))
    maps = [predictor.predict(image, SHA, ["tree"])[0].prob for predictor in (first, second)]
    assert not np.array_equal(*maps)
    assert first.identity != second.identity


def test_a_cut_unet_and_phrases_that_cannot_be_put_are_refused(ldm, tiny_ldm):
    with pytest.raises(ModelError, match="needs the whole UNet: load it with blocks=None"):
        NoiseDifferencePredictor(FrozenLDM.load(tiny_ldm))
    predictor = NoiseDifferencePredictor(ldm, GEOMETRY)
    with pytest.raises(PromptError, match="the phrase is empty"):
        predictor.check(["tree", " "])
    with pytest.raises(PromptError):
        predictor.check(["tree " * 500])


def test_stretching():
    np.testing.assert_array_equal(stretched(np.array([[2.0, 4.0, 3.0]])), [[0.0, 1.0, 0.5]])
    np.testing.assert_array_equal(stretched(np.full((2, 2), 5.0)), np.zeros((2, 2)))
    with pytest.raises(ModelError, match="not finite"):
        stretched(np.array([[np.nan, 1.0]]))
