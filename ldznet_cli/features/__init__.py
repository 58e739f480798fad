"""What a segmentation net eats for one sample: live from the LDM or out of the cache, indistinguishable."""

from ldznet_cli.features.cache import cache_features
from ldznet_cli.features.cached import CachedFeatures
from ldznet_cli.features.events import CacheEvent, RunDone, TextDone, UnitDone, UnitFailed
from ldznet_cli.features.key import FeatureSettings
from ldznet_cli.features.live import LiveFeatures
from ldznet_cli.features.plan import Plan, plan_cache
from ldznet_cli.features.shard import Shard
from ldznet_cli.features.source import FeatureItem, FeatureSource, RandomFeatures, SampleFeatures
from ldznet_cli.features.store import Store

__all__ = [
    "CacheEvent",
    "CachedFeatures",
    "FeatureItem",
    "FeatureSettings",
    "FeatureSource",
    "LiveFeatures",
    "Plan",
    "RandomFeatures",
    "RunDone",
    "SampleFeatures",
    "Shard",
    "Store",
    "TextDone",
    "UnitDone",
    "UnitFailed",
    "cache_features",
    "plan_cache",
]
