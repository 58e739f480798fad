"""The configurations by name: the paper's, and the one that fits a given LDM.

All numbers of the paper's nets are on this page; whatever else the other files hold is read from a configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ldznet_cli.errors import ModelError
from ldznet_cli.nets.config import Fusion, Kind, NetConfig, Positions, UNetConfig
from ldznet_cli.nets.numbering import paper_blocks

STABLE_DIFFUSION_1 = UNetConfig(
    block_out_channels=(320, 640, 1280, 1280),
    down_attention=(True, True, True, False),
    up_attention=(True, True, True, False),
    layers_per_block=(2, 2, 2, 2),
    transformer_layers=(1, 1, 1, 1),
    attention_heads=(8, 8, 8, 8),
    cross_attention_dim=768,
)
"""The UNet of Stable Diffusion 1.x: 859.5 M parameters, 16 blocks."""

PAPER_LATENT = 48
"""Side of the latent the paper trains on: 384 pixels / 8."""


def paper(kind: Kind, fusion: Fusion | None = None) -> NetConfig:
    """The paper's net at its own size, on Stable Diffusion v1.4.

    `fusion` is LD-ZNet's alone: cross-attention unless "concat" is asked for (the ablation of table 4).
    """
    return fitted(STABLE_DIFFUSION_1, kind, fusion, positions="count")


def for_ldm(
    unet_config: Mapping[str, Any],
    kind: Kind,
    fusion: Fusion | None = None,
    head_width: int = 1,
    *,
    pool_latent: int | None = None,
) -> NetConfig:
    """The net that belongs to an LDM, from its `unet/config.json` (diffusers' words): SD 1.x, 2.x, the miniature.

    pool_latent: latent side of the positional embeddings; the LDM's own `sample_size`, at most 48, when None
    ModelError for a UNet with parts that ours has not (SDXL's, an inpainting one's).
    """
    unet = read_unet_config(unet_config)
    sample_size = unet_config.get("sample_size")
    learned = min(PAPER_LATENT, sample_size) if isinstance(sample_size, int) else PAPER_LATENT
    return fitted(unet, kind, fusion, head_width, pool_latent=pool_latent or learned, positions="grid")


def fitted(
    unet: UNetConfig,
    kind: Kind,
    fusion: Fusion | None = None,
    head_width: int = 1,
    blocks: tuple[int, ...] | None = None,
    pool_latent: int = PAPER_LATENT,
    *,
    positions: Positions,
) -> NetConfig:
    """A net of one kind on a given U-Net, with the defaults that go with the kind."""
    fused = kind == "ldznet"
    return NetConfig(
        kind=kind,
        unet=unet,
        fusion=(fusion or "cross-attention") if fused else fusion,
        blocks=(paper_blocks(unet) if blocks is None else blocks) if fused else (),
        head_width=head_width,
        pool_latent=pool_latent,
        positions=positions,
        stem=stem_widths(unet) if kind == "rgbnet" else (),
    )


def stem_widths(unet: UNetConfig) -> tuple[int, int, int]:
    """RGBNet's stem: half the U-Net's first width, then the whole of it twice (a choice of ours)."""
    width = unet.block_out_channels[0]
    return (max(8, width // 8 * 4), width, width)


# diffusers' fields that would change the network, with the only values ours stands for.
_ONLY: dict[str, tuple[object, ...]] = {
    "in_channels": (4,),
    "out_channels": (4,),
    "act_fn": ("silu", "swish"),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "only_cross_attention": (False,),
    "downsample_padding": (1,),
    "mid_block_scale_factor": (1,),
    "dropout": (0.0,),
    "resnet_time_scale_shift": ("default",),
    "resnet_out_scale_factor": (1.0,),
    "time_embedding_type": ("positional",),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "attention_type": ("default",),
}
# Read below, or without effect on what is computed (upcasting is left to the attention kernel, as in diffusers).
_READ = {
    "block_out_channels", "down_block_types", "up_block_types", "layers_per_block", "transformer_layers_per_block",
    "attention_head_dim", "cross_attention_dim", "use_linear_projection", "norm_num_groups", "norm_eps",
    "flip_sin_to_cos", "freq_shift", "sample_size", "upcast_attention", "addition_embed_type_num_heads",
}  # fmt: skip


def read_unet_config(config: Mapping[str, Any]) -> UNetConfig:
    """Our description of a diffusers UNet configuration. ModelError when it has parts that ours has not."""
    for name, value in config.items():
        if name.startswith("_") or name in _READ or value is None or value is False:
            continue
        if value not in _ONLY.get(name, ()):
            allowed = " or ".join(map(repr, _ONLY.get(name, ("none",))))
            raise ModelError(
                f"this UNet is not of Stable Diffusion 1.x's or 2.x's kind: {name} is {value!r}, expected {allowed}"
            )
    widths = tuple(config.get("block_out_channels", (320, 640, 1280, 1280)))
    text = config.get("cross_attention_dim", 1280)
    if not isinstance(text, int):
        raise ModelError(f"this UNet's cross_attention_dim is {text!r}, expected one number for all levels")
    down = config.get("down_block_types", ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
    up = config.get("up_block_types", ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)
    return UNetConfig(
        block_out_channels=widths,
        down_attention=_with_attention(down, "CrossAttnDownBlock2D", "DownBlock2D"),
        up_attention=_with_attention(up, "CrossAttnUpBlock2D", "UpBlock2D")[::-1],
        layers_per_block=_per_level(config.get("layers_per_block", 2), len(widths)),
        transformer_layers=_per_level(config.get("transformer_layers_per_block", 1), len(widths)),
        attention_heads=_per_level(config.get("attention_head_dim", 8), len(widths)),
        cross_attention_dim=text,
        use_linear_projection=bool(config.get("use_linear_projection", False)),
        norm_num_groups=config.get("norm_num_groups", 32),
        norm_eps=float(config.get("norm_eps", 1e-5)),
        flip_sin_to_cos=bool(config.get("flip_sin_to_cos", True)),
        freq_shift=config.get("freq_shift", 0),
    )


def _per_level(value: int | Sequence[int], levels: int) -> tuple[int, ...]:
    return (value,) * levels if isinstance(value, int) else tuple(value)


def _with_attention(types: Sequence[str], attention: str, plain: str) -> tuple[bool, ...]:
    strange = [name for name in types if name not in (attention, plain)]
    if strange:
        raise ModelError(f"this UNet has a {strange[0]}; only {attention} and {plain} are known")
    return tuple(name == attention for name in types)
