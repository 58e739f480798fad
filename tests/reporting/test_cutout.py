from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ldznet_cli.inference.formats import Answer
from ldznet_cli.reporting.cutout import CutoutPng


def test_the_image_where_the_mask_is_and_nothing_elsewhere() -> None:
    image = Image.effect_mandelbrot((6, 4), (-2, -1.5, 1, 1.5), 30).convert("RGB")
    alpha = np.zeros((4, 6), dtype=np.uint8)
    alpha[1:3, 2:4] = 255
    alpha[1, 4] = 100
    answer = Answer(image, "lamp", np.zeros((1, 1), np.float32), alpha > 127, alpha)
    with Image.open(io.BytesIO(CutoutPng().encode(answer))) as cut:
        assert (cut.mode, cut.size) == ("RGBA", (6, 4))
        pixels = np.asarray(cut)
    assert np.array_equal(pixels[..., 3], alpha)
    assert np.array_equal(pixels[alpha > 0][:, :3], np.asarray(image)[alpha > 0])
    assert not pixels[alpha == 0].any()
