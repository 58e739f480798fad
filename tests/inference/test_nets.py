from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ldznet_cli.errors import ModelError, PromptError, UsageError
from ldznet_cli.features import FeatureItem, LiveFeatures
from ldznet_cli.inference.nets import NetPredictor
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.nets import load_net
from ldznet_cli.samples.geometry import to_tensor
from ldznet_cli.samples.images import ImageRef, sha256_of
from ldznet_cli.samples.templates import TEMPLATES
from tests.inference.conftest import square
from tests.tiny import tiny_ldm as build_ldm
from tests.tiny_net import tiny_net

SHA = "5" * 64
KINDS = ("rgbnet", "znet", "ldznet")
Nets = Callable[[str], Path]


@pytest.fixture(scope="module")
def ldm(tiny_ldm: Path) -> FrozenLDM:
    return FrozenLDM.load(tiny_ldm)


@pytest.fixture
def image() -> Image.Image:
    picture = Image.new("RGB", (90, 60), "white")
    picture.paste("red", (10, 10, 50, 40))
    return picture


def predictor(nets: Nets, ldm: FrozenLDM, kind: str = "ldznet", **options: Any) -> NetPredictor:
    return NetPredictor(nets(kind), ldm, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_does_not_depend_on_the_other_phrases(
    kind: str, nets: Nets, ldm: FrozenLDM, image: Image.Image
) -> None:
    three = predictor(nets, ldm, kind, batch=2)
    alone = three.predict(image, SHA, ["lamp"])[0].prob
    last = three.predict(image, SHA, ["a tree", "grass", "lamp"])[2].prob
    assert alone.shape == last.shape
    assert np.abs(alone - last).max() <= 2 / 65535
    other = three.predict(image, SHA, ["grass"])[0].prob
    assert np.abs(alone - other).max() > 2 / 65535


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_does_not_depend_on_the_batch(
    kind: str, nets: Nets, ldm: FrozenLDM, image: Image.Image
) -> None:
    phrases = ["lamp", "grass", "lamp"]
    one = predictor(nets, ldm, kind, batch=1).predict(image, SHA, phrases)
    four = predictor(nets, ldm, kind, batch=4).predict(image, SHA, phrases)
    for a, b in zip(one, four, strict=True):
        assert np.abs(a.prob - b.prob).max() <= 2 / 65535
    assert np.array_equal(one[0].prob, one[2].prob)


def test_the_same_twice(nets: Nets, ldm: FrozenLDM, image: Image.Image) -> None:
    first, second = (predictor(nets, ldm).predict(image, SHA, ["lamp", "tree"]) for _ in range(2))
    assert all(np.array_equal(a.prob, b.prob) for a, b in zip(first, second, strict=True))


def test_the_grid_is_the_geometry_s(nets: Nets, ldm: FrozenLDM, image: Image.Image) -> None:
    made = predictor(nets, ldm)
    found = made.predict(image, SHA, ["lamp"])[0]
    assert found.prob.shape == found.geometry.grid == made.geometry.network_size(90, 60)[::-1]
    assert (found.geometry.kind, found.geometry.size) == ("aligned", 64)
    assert found.prob.dtype == np.float32
    assert 0 <= found.prob.min() < found.prob.max() <= 1


def test_it_is_the_net_on_live_features(nets: Nets, ldm: FrozenLDM, tmp_path: Path) -> None:
    path = square(tmp_path / "a.png", "green", (64, 64))
    made = predictor(nets, ldm, seed=3)
    source = LiveFeatures(ldm, made.geometry, made.policies[0], batch=1)
    sample = source.features(ImageRef(path, "a.png"), [FeatureItem("lamp")])[0]
    net = load_net(nets("ldznet"))
    with torch.no_grad():
        logits = net(sample.z[None], sample.text[None], {i: b[None] for i, b in sample.blocks.items()})
    with Image.open(path) as picture:
        found = made.predict(picture, sha256_of(path), ["lamp"])[0].prob
    assert sample.prompt == "a photo of a lamp."
    assert np.allclose(found, torch.sigmoid(logits)[0, 0].numpy(), atol=1e-6)


def test_draws_are_averaged_as_logits(nets: Nets, ldm: FrozenLDM, image: Image.Image) -> None:
    made = predictor(nets, ldm, draws=2, batch=2)
    pixels = to_tensor(image, made.geometry)
    source = LiveFeatures(ldm, made.geometry, made.policies[0], batch=1)
    from ldznet_cli.features.unit import unit_of

    items = [FeatureItem("lamp", draw) for draw in (0, 1)]
    samples = source.of_pixels(pixels, unit_of(ImageRef(Path(), ""), SHA, items, made.policies[0]), items)
    assert samples[0].timestep != samples[1].timestep
    net = load_net(nets("ldznet"))
    with torch.no_grad():
        logits = [net(s.z[None], s.text[None], {i: b[None] for i, b in s.blocks.items()}) for s in samples]
    found = made.predict(image, SHA, ["lamp"])[0].prob
    assert np.allclose(found, torch.sigmoid(sum(logits) / 2)[0, 0].numpy(), atol=1e-6)  # type: ignore[call-overload]


def test_noise_follows_from_seed_and_content(nets: Nets, ldm: FrozenLDM, image: Image.Image) -> None:
    first = predictor(nets, ldm).predict(image, SHA, ["lamp"])[0].prob
    assert np.abs(predictor(nets, ldm, seed=1).predict(image, SHA, ["lamp"])[0].prob - first).max() > 0
    assert np.abs(predictor(nets, ldm).predict(image, "6" * 64, ["lamp"])[0].prob - first).max() > 0


def test_who_answers(nets: Nets, ldm: FrozenLDM, tiny_ldm: Path) -> None:
    who = predictor(nets, ldm, draws=2, seed=9, template="{}.").identity
    assert (who.name, who.model, who.ldm, who.ldm_digest) == ("net", "ldznet", "ldm", ldm.digests.combined)
    assert (who.seed, who.draws, who.template) == (9, 2, "{}.")
    calm = predictor(nets, ldm, "znet", name="miniature").identity
    assert (calm.model, calm.seed, calm.draws) == ("miniature", None, None)
    assert calm.model_digest != who.model_digest


@pytest.mark.parametrize("kind", ["rgbnet", "znet"])
def test_a_net_without_noise_has_nothing_to_average(kind: str, nets: Nets, ldm: FrozenLDM) -> None:
    with pytest.raises(UsageError, match="leave --draws out"):
        predictor(nets, ldm, kind, draws=2)


def test_phrases_are_checked_before_anything_is_computed(nets: Nets, ldm: FrozenLDM) -> None:
    made = predictor(nets, ldm)
    made.check(["lamp", "red lamp"])
    with pytest.raises(PromptError, match="tokens too long"):
        made.check(["lamp", "x" * 99])
    with pytest.raises(PromptError, match="empty"):
        made.check([" "])
    with pytest.raises(PromptError, match="template"):
        predictor(nets, ldm, template="no place")


def test_another_ldm_is_named_with_what_was_expected(nets: Nets, ldm: FrozenLDM, tmp_path: Path) -> None:
    other = FrozenLDM.load(build_ldm(tmp_path / "other", seed=8))
    with pytest.raises(ModelError) as caught:
        predictor(nets, other)
    assert ldm.digests.first_stage[:12] in str(caught.value)
    assert other.digests.first_stage[:12] in str(caught.value)


def test_only_the_parts_that_a_net_uses_have_to_be_the_same(
    ldm: FrozenLDM, tiny_ldm: Path, tmp_path: Path
) -> None:
    digests = {**ldm.digests.to_dict(), "unet": "0" * 64, "schedule": None}
    NetPredictor(tiny_net(tmp_path / "znet", tiny_ldm, "znet", ldm_digests=digests), ldm)
    with pytest.raises(ModelError, match="unet"):
        NetPredictor(tiny_net(tmp_path / "ldznet", tiny_ldm, "ldznet", ldm_digests=digests), ldm)


def test_folders_that_are_no_nets(ldm: FrozenLDM, tiny_ldm: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        NetPredictor(tmp_path / "none", ldm)
    with pytest.raises(ModelError, match=r"no config\.json"):
        NetPredictor(tmp_path, ldm)
    with pytest.raises(ModelError, match="geometry"):
        NetPredictor(tiny_net(tmp_path / "odd", tiny_ldm, "znet", geometry={"side": 3}), ldm)


def test_values_that_are_not_finite_are_an_error(ldm: FrozenLDM, tiny_ldm: Path, tmp_path: Path) -> None:
    made = NetPredictor(tiny_net(tmp_path / "net", tiny_ldm, "znet"), ldm)
    for parameter in made.net.final.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        made.predict(Image.new("RGB", (64, 64)), SHA, ["lamp"])


def test_an_ensemble_is_the_mean_of_the_nine_templates_logits(
    nets: Nets, ldm: FrozenLDM, image: Image.Image
) -> None:
    def logits(template: str) -> np.ndarray:
        prob = predictor(nets, ldm, template=template, seed=2).predict(image, SHA, ["lamp"])[0].prob
        return np.log(prob / (1 - prob))

    many = predictor(nets, ldm, template="ensemble", seed=2, batch=2)
    assert many.identity.template == "ensemble"
    found = many.predict(image, SHA, ["lamp"])[0].prob
    expected = np.mean([logits(template) for template in TEMPLATES], axis=0)
    assert np.allclose(found, 1 / (1 + np.exp(-expected)), atol=2e-5)
    assert np.abs(found - predictor(nets, ldm, seed=2).predict(image, SHA, ["lamp"])[0].prob).max() > 1e-4


def test_an_ensemble_checks_every_template(nets: Nets, ldm: FrozenLDM) -> None:
    phrase = "x" * 15  # room for the first template's other words, not for the second's
    predictor(nets, ldm).check([phrase])
    with pytest.raises(PromptError, match="too long"):
        predictor(nets, ldm, template="ensemble").check([phrase])
