"""The authors' names for our parameters, against the authors' and against diffusers' converter."""

from __future__ import annotations

from typing import Any

import pytest

from ldznet_cli.ldm.layout import RAW, ema_name
from ldznet_cli.nets import for_ldm
from ldznet_cli.nets.builders import paper, read_unet_config
from ldznet_cli.nets.numbering import attention_blocks
from ldznet_cli.nets.official import official_names
from tests.nets.authors import SD_LIKE
from tests.nets.oracle import Oracle
from tests.tiny import UNET_CONFIG


def test_names_against_the_authors(oracle: Oracle) -> None:
    assert official_names(paper("ldznet")) == {key.ours: key.official for key in oracle.keys}
    assert {ema_name(key.official) for key in oracle.keys} == {key.ema for key in oracle.keys}


@pytest.mark.parametrize(
    "unet", [SD_LIKE, {**SD_LIKE, "layers_per_block": 1}, {**SD_LIKE, "layers_per_block": 3}]
)
def test_names_against_diffusers(unet: dict[str, Any]) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    names = official_names(for_ldm(unet, "znet"))
    theirs = {RAW + name: name for name in names.values() if not name.startswith("final.")}
    converted = convert_ldm_unet_checkpoint(theirs, {"layers_per_block": unet["layers_per_block"]})
    assert converted == {key: name for key, name in names.items() if not key.startswith("final.")}


def test_block_names_agree_with_the_frozen_ldm() -> None:
    from ldznet_cli.ldm import blocks
    from ldznet_cli.nets.numbering import paper_blocks

    for unet in (UNET_CONFIG, SD_LIKE, {**SD_LIKE, "layers_per_block": 3}):
        ours = read_unet_config(unet)
        assert [block.name for block in attention_blocks(ours)] == blocks.block_names(unet)
        assert paper_blocks(ours) == blocks.paper_blocks(unet)
