"""From the options of `ldznet train` to what is learned from: samples, features, the net's configuration."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ldznet_cli.errors import CacheError, ImageError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ldznet_cli.features import CachedFeatures
    from ldznet_cli.features.source import FeatureSource
    from ldznet_cli.ldm import FrozenLDM
    from ldznet_cli.nets import NetConfig
    from ldznet_cli.samples.coco import SampleSet
    from ldznet_cli.samples.geometry import Geometry
    from ldznet_cli.samples.listing import ImageRef
    from ldznet_cli.samples.view import ViewPolicy
    from ldznet_cli.training.run import Material

DRAWN_NEGATIVES = 8
"""Absent phrases that are drawn for each image when features are live and the annotations name none."""


@dataclass(frozen=True)
class Ask:
    """Where the material lies; `ldm_name` is what the user calls the LDM.

    `geometry` and `size` are None where the cache, or the LDM, is to say; so is `crop`, and `flip` False.
    """

    gt: Path
    images: Path | None
    groups: Path | None
    val_gt: Path | None
    val_images: Path | None
    cache: str | None
    cache_copy: Path | None
    ldm: str | Path
    ldm_name: str
    vae: str | None
    geometry: Literal["aligned", "square", "official"] | None
    size: int | None
    device: str
    offline: bool
    seed: int
    crop: float | None
    flip: bool


@dataclass(frozen=True)
class Gathered:
    """The material, the net that fits it, and the LDM's U-Net to start from (None: start at random)."""

    material: Material
    net: NetConfig
    unet_weights: Callable[[], Mapping[str, Tensor]] | None


def gather(
    ask: Ask,
    kind: Literal["rgbnet", "znet", "ldznet"],
    fusion: Literal["cross-attention", "concat"],
    head_width: int,
    init: Literal["ldm", "random"],
    negatives: float,
) -> Gathered:
    """Loads annotations, LDM and cache. Raises what they raise, and UsageError where they do not go together."""
    from ldznet_cli.ldm import FrozenLDM
    from ldznet_cli.nets import for_ldm
    from ldznet_cli.samples.coco import load_coco
    from ldznet_cli.training.run import Material

    samples = load_coco(ask.gt, images=ask.images, groups=ask.groups)
    val_images = ask.val_images or ask.images
    validation = load_coco(ask.val_gt, images=val_images, groups=ask.groups) if ask.val_gt else None
    for part in filter(None, (samples, validation)):
        _require_samples(part)
        _require_files(part)
    fused = kind == "ldznet"
    live = ask.cache is None
    ldm = FrozenLDM.load(
        ask.ldm,
        blocks="paper" if live and fused else (),
        device=ask.device,
        vae=ask.vae,
        offline=ask.offline,
        fetch_unet=True,  # where nets start from its weights, and every run records its digest
    )
    net = for_ldm(ldm.unet_config, kind, fusion if fused else None, head_width)
    features = _live(ask, ldm, kind) if live else _cached(ask, ldm, net, samples, validation)
    absent = _absent(samples, features, negatives, ask.seed)
    material = Material(
        samples=samples,
        validation=validation,
        source=features.source,
        geometry=features.geometry,
        ldm_name=ask.ldm_name,
        ldm_digests=ldm.digests.to_dict(),
        timesteps=features.timesteps,
        features=features.settings,
        draws=features.draws,
        views=features.views,
        absent=absent,
    )
    return Gathered(material, net, ldm.unet_state_dict if init == "ldm" else None)


@dataclass(frozen=True)
class _Features:
    source: FeatureSource
    geometry: Geometry
    timesteps: tuple[int, int]
    settings: dict[str, Any]
    draws: int | None
    cached_phrases: Callable[[ImageRef], tuple[str, ...]] | None
    views: ViewPolicy | None


def _live(ask: Ask, ldm: FrozenLDM, kind: str) -> _Features:
    from ldznet_cli.cli.feature_options import geometry_for
    from ldznet_cli.features import LiveFeatures
    from ldznet_cli.ldm import DrawPolicy
    from ldznet_cli.samples.view import ViewPolicy

    geometry = geometry_for(ldm, ask.geometry or "aligned", ask.size)
    policy = DrawPolicy(seed=ask.seed)
    source = LiveFeatures(ldm, geometry, policy, batch=1, z_only=kind != "ldznet")
    views = ViewPolicy(ask.crop, ask.flip, ask.seed) if ask.crop is not None or ask.flip else None
    return _Features(source, geometry, policy.timesteps, {"features": "live"}, None, None, views)


def _cached(
    ask: Ask, ldm: FrozenLDM, net: NetConfig, samples: SampleSet, validation: SampleSet | None
) -> _Features:
    from ldznet_cli.cli import console
    from ldznet_cli.cli.feature_options import geometry_for
    from ldznet_cli.features import CachedFeatures

    assert ask.cache is not None
    wanted = None if ask.geometry is None else geometry_for(ldm, ask.geometry, ask.size)
    cached = CachedFeatures.open(
        ask.cache,
        copy=ask.cache_copy,
        ldm_digests=ldm.digests,
        geometry=wanted,
        blocks=net.blocks,
        images=list(samples.by_image()),
        tell=console.warn,
    )
    if ask.geometry is None and ask.size not in (None, cached.settings.geometry.size):
        size = cached.settings.geometry.size
        raise UsageError(f"--size {ask.size}: the cache {ask.cache} was made at {size}; leave --size out")
    _require_cached(ask.cache, samples, cached.phrases)
    if validation is not None:
        _require_cached(ask.cache, validation, cached.first_draws)
    settings = {
        "features": "cached",
        "storage": cached.settings.storage,
        "compute": cached.settings.compute,
        "feature_seed": cached.settings.policy.seed,
        "template": cached.settings.policy.template,
    }
    return _Features(
        cached,
        cached.settings.geometry,
        cached.settings.policy.timesteps,
        settings,
        cached.draws,
        cached.phrases,
        _cached_views(ask, cached),
    )


def _require_samples(samples: SampleSet) -> None:
    """Raises UsageError where there is nothing to learn, whatever else is asked."""
    if not samples.samples:
        raise UsageError(f"{samples.path} names nothing: no phrase of it has a mask that is not a crowd's")


def _require_files(samples: SampleSet) -> None:
    """Raises ImageError where images of the samples are not there: they are read late, one by one."""
    missing = [image.path for image in samples.by_image() if not image.path.is_file()]
    if missing:
        raise ImageError(
            f"{missing[0]}: no such file, as {len(missing)} of the images of {samples.path}; "
            "name the folder that they are in with --images, or --val-images"
        )


def _require_cached(cache: str, samples: SampleSet, known: Callable[[ImageRef], Container[str]]) -> None:
    """Raises CacheError where samples are not in the cache: a training would end when it first comes to one."""
    missing = [
        sample
        for image, own in samples.by_image().items()
        for there in (known(image),)
        for sample in own
        if sample.phrase not in there
    ]
    if missing:
        raise CacheError(
            f"the cache {cache} has nothing for image {missing[0].image.name}, phrase {missing[0].phrase!r}, "
            f"and so for {len(missing)} of {len(samples.samples)} samples of {samples.path}; "
            f"run `ldznet cache-features --gt {samples.path} --cache {cache}` as for the others"
        )


def _cached_views(ask: Ask, cached: CachedFeatures) -> ViewPolicy | None:
    """The views that the cache holds; what was asked for has to be that."""
    from ldznet_cli.samples.view import ViewPolicy

    ViewPolicy(ask.crop, ask.flip, ask.seed)  # a --crop that cannot be is no matter of the cache
    views = cached.manifest.views
    found = (views.crop, views.flip) if views else (None, False)
    if (ask.crop, ask.flip) not in ((None, False), found):
        raise UsageError(
            f"--crop {ask.crop}, --flip {ask.flip}: the views in the cache {ask.cache} have crop {found[0]}, flip "
            f"{found[1]}; leave both out, or run `ldznet cache-features` with --views and these"
        )
    return views


def _absent(
    samples: SampleSet, features: _Features, negatives: float, seed: int
) -> dict[ImageRef, tuple[str, ...]]:
    """The phrases of each image that may serve as negatives; with a cache, only what lies in it can."""
    from ldznet_cli.samples.negatives import absent_among, absent_phrases

    if negatives == 0:
        return {}
    if features.cached_phrases is None:
        found = absent_phrases(samples, DRAWN_NEGATIVES, seed)
    else:
        found = absent_among(samples, features.cached_phrases)
    if not any(found.values()):
        raise UsageError(
            f"--negatives {negatives}: neither {samples.path} nor the cache names a phrase that is absent from an "
            "image; run `ldznet cache-features` with --negatives 2, or train with --negatives 0"
        )
    return found
