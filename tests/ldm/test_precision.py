"""float32 is not rounded on its way through a GPU; what others compute there stays as they set it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.ldm.precision import whole_float32

CONVOLUTIONS = torch.backends.cudnn.conv


def test_it_holds_inside_and_is_given_back() -> None:
    before = CONVOLUTIONS.fp32_precision
    with pytest.raises(KeyError), whole_float32():
        assert CONVOLUTIONS.fp32_precision == "ieee"
        raise KeyError
    assert CONVOLUTIONS.fp32_precision == before


@pytest.mark.parametrize("allowed", [True, False])
def test_the_older_setting_is_as_it_was(allowed: bool) -> None:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        with whole_float32():
            pass
        assert torch.backends.cudnn.allow_tf32 == allowed
    finally:
        torch.backends.cudnn.allow_tf32 = before


def test_every_convolution_of_the_ldm_is_inside(tiny_ldm: Path) -> None:
    seen = []
    ldm = FrozenLDM.load(tiny_ldm, blocks=None)
    assert ldm.unet is not None
    for module in (*ldm.first_stage.autoencoder.modules(), *ldm.unet.unet.modules()):
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda *_: seen.append(CONVOLUTIONS.fp32_precision))
    z, text = ldm.encode_image(torch.zeros(1, 3, 64, 64)), torch.zeros(1, 24, 32)
    calls: list[Any] = [lambda: ldm.features(z, text, 400, z), lambda: ldm.predict_noise(z, text, 400)]
    for call in calls:
        call()
    assert set(seen) == {"ieee"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_float32_is_the_cpus(tiny_ldm: Path) -> None:
    here, there = FrozenLDM.load(tiny_ldm), FrozenLDM.load(tiny_ldm, device="cuda")
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    torch.testing.assert_close(
        there.encode_image(pixels).cpu(), here.encode_image(pixels), rtol=1e-5, atol=1e-5
    )
