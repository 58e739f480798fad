"""The nets' logits as recorded once by ourselves: they hold where the authors' numbers are not at hand."""

from __future__ import annotations

from typing import Any

import torch

from ldznet_cli.nets import build_net, for_ldm
from tests.nets.sizes import inputs_for
from tests.recorded import compare
from tests.tiny import UNET_CONFIG


@torch.no_grad()
def test_logits() -> None:
    found = {}
    kinds: list[tuple[Any, Any]] = [("rgbnet", None), ("znet", None), ("ldznet", "cross-attention")]
    for kind, fusion in kinds:
        config = for_ldm(UNET_CONFIG, kind, fusion, head_width=2)
        net = build_net(config, 5).eval()
        for size in ((8, 8), (9, 12)):
            found[f"{kind}/{size[0]}x{size[1]}"] = net(*inputs_for(config, size))
    compare("nets", found, 1e-5)
