from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ldznet_cli
from ldznet_cli.errors import ImageError, ModelError, PromptError, WeightsUnavailable
from ldznet_cli.inference import ColourPredictor, api
from ldznet_cli.ldm import FrozenLDM
from tests.inference.conftest import square
from tests.tiny import tiny_ldm as build_ldm
from tests.tiny_net import tiny_net

Nets = Callable[[str], Path]


def test_it_is_public() -> None:
    assert ldznet_cli.Segmenter is api.Segmenter


def test_masks_of_a_file(tmp_path: Path) -> None:
    path = square(tmp_path / "a.png", "red", (96, 64))
    segmenter = api.Segmenter(predictor=ColourPredictor())
    red, blue = segmenter.segment(path, ["red", "blue"])
    assert (red.phrase, red.mask.shape, red.mask.dtype) == ("red", (64, 96), bool)
    assert red.area == red.mask.sum()
    assert red.box is not None
    assert red.box[:2] == (0, 0)
    assert red.score > 0.9 > 0.5 > blue.score
    assert (blue.area, blue.box) == (0, None)
    with pytest.raises(ImageError):
        segmenter.segment(tmp_path / "none.png", ["red"])


def test_an_image_in_memory_is_as_good_as_a_file(nets: Nets, tiny_ldm: Path, tmp_path: Path) -> None:
    segmenter = api.Segmenter(nets("ldznet"))
    image = Image.new("RGB", (64, 64), "red")
    first, second = (segmenter.segment(image, ["lamp"])[0] for _ in range(2))
    assert np.array_equal(first.prob, second.prob)
    with pytest.raises(PromptError):
        segmenter.segment(image, [" "])


def test_an_image_in_memory_is_brought_to_rgb_as_a_file_is(tmp_path: Path) -> None:
    """Upright, what is transparent over white, 16 bits as 8."""
    segmenter = api.Segmenter(predictor=ColourPredictor())
    turned = Image.new("RGBA", (96, 64), (255, 0, 0, 0))
    turned.paste((255, 0, 0, 255), (0, 0, 96, 32))
    exif = Image.Exif()
    exif[274] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.full((64, 64), 65535, np.uint16)).save(tmp_path / "deep.png")
    for name in ("turned.png", "deep.png"):
        with Image.open(tmp_path / name) as image:
            ours = segmenter.segment(image, ["red", "white"])
        for one, other in zip(ours, segmenter.segment(tmp_path / name, ["red", "white"]), strict=True):
            assert np.array_equal(one.prob, other.prob)
    with pytest.raises(ImageError, match="the image: pixels of type F have no agreed range"):
        segmenter.segment(Image.new("F", (8, 8)), ["red"])


def test_the_ldm_is_the_one_that_the_net_names(nets: Nets, tiny_ldm: Path) -> None:
    found = api.load_predictor(nets("znet"))
    assert found.ldm.folder == tiny_ldm
    assert found.ldm.unet is None


def test_an_ldm_that_is_gone(tiny_ldm: Path, tmp_path: Path) -> None:
    net = tiny_net(tmp_path / "net", tiny_ldm, "znet", ldm_name=str(tmp_path / "gone"))
    with pytest.raises(WeightsUnavailable, match="name it by --ldm"):
        api.load_predictor(net)
    assert api.load_predictor(net, tiny_ldm).ldm.folder == tiny_ldm
    with pytest.raises(ModelError, match="belongs to the LDM"):
        api.load_predictor(net, build_ldm(tmp_path / "other", seed=5))


@pytest.fixture
def bundle(tiny_ldm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of random weights in place of the real one."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / api.LDM).symlink_to(tiny_ldm)
    tiny_net(tmp_path / "weights" / api.NET, tiny_ldm)
    monkeypatch.setattr(api, "BUNDLE", tmp_path / "weights")
    return tmp_path / "weights"


@pytest.mark.parametrize("model", [None, "miniature"])
def test_the_bundle_goes_by_its_name(model: Any, bundle: Path) -> None:
    who = api.load_predictor(model).identity
    assert (who.model, who.ldm) == ("miniature", "miniature")


def test_a_net_of_one_s_own_on_the_bundled_ldm(bundle: Path, tiny_ldm: Path, tmp_path: Path) -> None:
    digests = FrozenLDM.load(tiny_ldm, blocks=()).digests.to_dict()
    net = tiny_net(
        tmp_path / "mine", tiny_ldm, "znet", ldm_name="/gone", ldm_digests={**digests, "unet": "1"}
    )
    who = api.load_predictor(net).identity
    assert (who.model, who.ldm) == ("mine", "miniature")


def test_without_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "BUNDLE", tmp_path)
    with pytest.raises(WeightsUnavailable, match="not in this installation"):
        api.Segmenter()
